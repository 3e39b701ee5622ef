"""What makes loading fast changes no draw, no pixel and no token."""

import random

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from torchvision import transforms

from datacomp.declared import scale as scales
from datacomp.network import build, crops

SIZES = [(64, 64), (48, 64), (640, 31), (7, 300), (1, 1), (3, 2), (512, 340)]
NANO, SMALL = scales.load("nano"), scales.load("small")


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.08, 1.0), (1.0, 1.0)], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_crops_are_drawn_as_torchvision_draws_them(size, scale):
    picture, ratio = Image.new("L", size), (0.75, 4 / 3)
    logarithms = torch.log(torch.tensor(ratio)).tolist()
    generator = torch.default_generator
    for seed in range(300):
        generator.manual_seed(seed)
        expected = transforms.RandomResizedCrop.get_params(picture, scale, ratio), torch.rand(1)
        generator.manual_seed(seed)
        assert (crops.place(*size, scale, ratio, logarithms), torch.rand(1)) == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "I;16"])
@pytest.mark.parametrize(("interpolation", "named"), [("bicubic", "BICUBIC"), ("bilinear", "BILINEAR")])
def test_pixels_are_torchvision_s(mode, interpolation, named):
    values = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    picture = Image.fromarray(values).convert("L" if mode == "I;16" else mode)
    picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 200) if mode == "I;16" else picture
    theirs = transforms.RandomResizedCrop(32, scale=(0.1, 1.0), interpolation=transforms.InterpolationMode[named])
    ours = crops.random_resized_crop(32, (0.1, 1.0), (0.75, 4 / 3), Image.Resampling[named])
    for seed in range(5):
        torch.manual_seed(seed)
        expected = theirs(picture)
        torch.manual_seed(seed)
        found = ours(picture)
        assert (found.mode, found.tobytes()) == (expected.mode, expected.tobytes())


CAPTIONS = [
    "",
    " ",
    "a red  square ",
    "A RED\tsquare\n",
    "&lt;b&gt; &amp;amp; more",
    "cafÃ© au lait",
    "“quoted”",
    "schöne ﬁne Wörter",
    "日本 語",
    "\x1b[31mred\x1b[0m",
    "a\x00b",
]
CAPTIONS += ["it's 10% <b>off</b>", "word " * 200, "<start_of_text> <END_OF_TEXT>", "a\u3000b\u00a0c", "a\x1cb", "~" * 300]


@pytest.mark.parametrize("scale", [NANO, SMALL], ids=["nano", "small"])
def test_tokens_are_open_clip_s_remembered_or_not(scale, tmp_path):
    rng = random.Random(0)
    captions = CAPTIONS + ["".join(chr(rng.choice([rng.randrange(128), rng.randrange(32, 127), rng.randrange(0x250)])) for _ in range(40)) for _ in range(500)]
    captions += ["".join(chr(rng.randrange(32, 127)) for _ in range(40)) for _ in range(500)]
    (tmp_path / "merges.gz").write_bytes(build.first_merges(scale.tokens.merges))
    theirs = open_clip.SimpleTokenizer(bpe_path=str(tmp_path / "merges.gz"), clean="lower")
    length = scale.model.text.context_length
    ours, expected = build.Tokenizer(scale.tokens, length), theirs(captions, context_length=length)
    for _ in range(2):
        found = ours(captions)
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
        found.zero_()  # whoever changes what came changes nothing that is remembered
    assert ours([]).shape == (0, length)


def test_cleaning_is_open_clip_s_for_every_character():
    clean = open_clip.tokenizer.get_clean_fn("lower")
    ours = build._cleaned(clean)
    for text in [*map(chr, range(0x500)), *(f"A {chr(code)} b" for code in range(0x500)), *CAPTIONS]:
        assert ours(text) == clean(text)
