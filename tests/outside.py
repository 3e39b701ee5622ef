"""What somebody outside does with an export: load it by the code of its model card or by clip_benchmark, and embed. Needs no datacomp.

Usage: outside.py CARD REPOSITORY THREADS OUT.npz, in a folder that holds the tokenizer's merges if there are any.
"""

import io
import re
import sys
from pathlib import Path

import numpy as np
import torch
from clip_benchmark.models import load_clip
from PIL import Image

CAPTIONS = ["a red star", "Ünïcode &amp; emoji 🎈 " * 30, "", "it's 3 DOGS!!", "<start_of_text>"]
SIDES = (((33, 70), "RGB"), ((90, 41), "RGBA"), ((48, 48), "L"), ((200, 61), "P"))


def pictures():
    """PNG pictures of several shapes and modes."""
    random = np.random.default_rng(0)
    for (width, height), mode in SIDES:
        buffer = io.BytesIO()
        colours = random.integers(0, 255, (height, width, 4 if mode == "RGBA" else 3), np.uint8)
        Image.fromarray(colours).convert(mode).save(buffer, "PNG")
        yield buffer.getvalue()


def by_card(card, name, place):
    """Run the card's code that loads `name` (such as local-dir:FOLDER), with the real place in it."""
    code = next(code for code in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if f'"{name}"' in code)
    namespace = {}
    exec(code.replace(name.partition(":")[2], place), namespace)
    return namespace["model"], namespace["preprocess"], namespace["tokenizer"]


def by_clip_benchmark(name):
    model, preprocess, tokenizer = load_clip("open_clip", name, "laion400m_e32", cache_dir=None, device="cpu")
    return model.eval(), preprocess, tokenizer


@torch.inference_mode()
def embed(model, preprocess, tokenizer):
    """Unit vectors of the pictures and of the captions."""
    pixels = torch.stack([preprocess(Image.open(io.BytesIO(picture))) for picture in pictures()])
    return model.encode_image(pixels, normalize=True).numpy(), model.encode_text(tokenizer(CAPTIONS), normalize=True).numpy()


if __name__ == "__main__":
    card, repository, threads, out = sys.argv[1:]
    torch.set_num_threads(int(threads))
    found = {
        "open_clip": embed(*by_card(Path(card).read_text(), "hf-hub:OWNER/NAME", repository)),
        "clip_benchmark": embed(*by_clip_benchmark(f"hf-hub:{repository}")),
    }
    np.savez(out, **{f"{loader}_{kind}": part for loader, both in found.items() for kind, part in zip(("images", "texts"), both, strict=True)})
