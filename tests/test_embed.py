"""Captions go through a network only as far as they reach."""

import copy

import evaluation_sets
import numpy as np
import open_clip
import pytest
import torch

from datacomp.declared import scale as scales
from datacomp.network.embed import Encoder

CAPTIONS = ["", "a cat", " ".join(["river"] * 100), "a cat", *(f"{'a very ' * count}old stone" for count in range(40))]
PIXELS = scales.load("nano").pixels


@pytest.fixture
def encoder():
    def made(kind=open_clip.CLIP, **text):
        torch.manual_seed(0)
        config = copy.deepcopy(evaluation_sets.CONFIG)
        config["text_cfg"] |= text
        return Encoder(kind(**config, output_dict=True), PIXELS, open_clip.SimpleTokenizer(), {}, device="cpu", batch_samples=8)

    return made


def whole(encoder):
    with torch.inference_mode():
        return encoder.network.encode_text(open_clip.SimpleTokenizer()(CAPTIONS), normalize=True).numpy()


def seen_lengths(encoder, monkeypatch):
    lengths = []
    transformer = getattr(encoder.network, "text", encoder.network).transformer
    real = transformer.forward
    monkeypatch.setattr(transformer, "forward", lambda x, **options: lengths.append(x.shape[1]) or real(x, **options))
    return lengths


def test_captions_are_read_to_their_end_and_give_the_vectors_of_the_whole_context(encoder, monkeypatch):
    network = encoder()
    expected, lengths = whole(network), seen_lengths(network, monkeypatch)
    np.testing.assert_allclose(network.texts(CAPTIONS), expected, atol=1e-6)
    assert lengths == sorted(lengths)
    assert lengths[0] < 20
    assert lengths[-1] == 77


@pytest.mark.parametrize(
    ("kind", "text"), [(open_clip.CLIP, {"no_causal_mask": True}), (open_clip.CLIP, {"pool_type": "last"}), (open_clip.CustomTextCLIP, {})]
)
def test_a_network_in_which_what_follows_has_a_say_reads_the_whole_context(encoder, monkeypatch, kind, text):
    network = encoder(kind, **text)
    expected, lengths = whole(network), seen_lengths(network, monkeypatch)
    np.testing.assert_allclose(network.texts(CAPTIONS), expected, atol=1e-6)
    assert set(lengths) == {77}
