"""Every filter gives the very list that the published code gives, on metadata that try each of its rules.

benchmarks/parity/filters.py made the metadata and asked the published code; lid.176.ftz stands in for lid.176.bin on both sides.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from datacomp import uids
from datacomp.artifacts import pool as pools
from datacomp.declared import asset
from datacomp.errors import FilterError
from datacomp.filters import basic_filter, image_based, laion2b, wordnet
from datacomp.filters.apply import apply

GOLDEN = Path(__file__).parent / "golden" / "filters"
CENTROIDS = {"centroids": str(GOLDEN / "centroids.npy"), "targets": str(GOLDEN / "targets.npy")}
FILTERS = {"image_based": CENTROIDS, "intersect": CENTROIDS}
NAMES = sorted(path.stem for path in (GOLDEN / "published").glob("*.npy"))


def asked(golden):
    """Our filter, its options and the metadata behind the name of a golden."""
    if golden.startswith(("clip_score", "intersect")):
        *kind, arch, limit = golden.replace("_at_", "_at").split("_")
        bound = {"threshold": float(limit[2:])} if limit.startswith("at") else {"fraction": float(limit)}
        name = "image_based_intersect_clip_score" if kind == ["intersect"] else "clip_score"
        return name, {"score": arch, **bound, **FILTERS.get(golden.split("_")[0], {})}, "strict" if kind == ["intersect"] else "lenient"
    return golden, FILTERS.get(golden, {}), "lenient" if golden == "no_filter" else "strict"


@pytest.fixture
def same_models(monkeypatch):
    """The language model that the goldens were made with, and gcld3's answers as they were."""
    answers = json.loads((GOLDEN / "gcld3.json").read_text())
    detector = SimpleNamespace(FindLanguage=lambda text: SimpleNamespace(language=answers[text]))
    shown = {text.replace("\n", " "): language for text, language in answers.items()}
    answers.update(shown)
    monkeypatch.setitem(sys.modules, "gcld3", SimpleNamespace(NNetLanguageIdentifier=lambda min_num_bytes, max_num_bytes: detector))
    real = asset.load
    monkeypatch.setattr(asset, "load", lambda name: real("lid.176.ftz" if name == "lid.176.bin" else name))


@pytest.mark.usefixtures("same_models")
@pytest.mark.parametrize("golden", NAMES)
def test_a_filter_gives_the_published_list(golden, tmp_path):
    name, options, folder = asked(golden)
    found = apply(name, options, pools.read(GOLDEN / folder), tmp_path / "list.npy")
    assert uids.text(found.uids) == uids.text(np.load(GOLDEN / "published" / f"{golden}.npy"))


def test_the_goldens_are_all_there():
    assert len(NAMES) == 30
    assert all(len(np.load(GOLDEN / "published" / f"{name}.npy")) > 0 for name in NAMES)


@pytest.mark.usefixtures("same_models")
@pytest.mark.parametrize(
    ("golden", "module", "constant", "other"),
    [
        ("basic_filter", basic_filter, "MIN_WORDS", 4),
        ("basic_filter", basic_filter, "MIN_CHARACTERS", 7),
        ("basic_filter", basic_filter, "MIN_SIDE_PIXELS", 201),
        ("basic_filter", basic_filter, "MAX_ASPECT", 2.99),
        ("laion2b", laion2b, "THRESHOLD", 0.29),
        ("text_based", wordnet, "PARTS_OF_SPEECH", ("n",)),
        ("text_based", wordnet, "_detached", lambda forms, part: []),
        ("image_based", image_based, "MIN_CHARACTERS", 7),
        ("image_based", image_based, "_SEPARATORS", " "),
    ],
)
def test_a_rule_that_is_a_little_different_gives_another_list(golden, module, constant, other, tmp_path, monkeypatch):
    monkeypatch.setattr(module, constant, other)
    name, options, folder = asked(golden)
    found = apply(name, options, pools.read(GOLDEN / folder), tmp_path / "list.npy")
    assert uids.text(found.uids) != uids.text(np.load(GOLDEN / "published" / f"{golden}.npy"))


@pytest.mark.usefixtures("same_models")
def test_the_published_centroids_and_features_are_read_as_they_are(tmp_path, monkeypatch):
    files = {"small_centroids": GOLDEN / "centroids.pt"} | {f"in1k_clip_vit_l14_{part}": GOLDEN / "published" / f"targets_{part}.pt" for part in range(5)}
    real = asset.locate
    monkeypatch.setattr(asset, "locate", lambda found: files.get(found.name) or real(found))
    found = apply("image_based", {"image_based_scale": "small"}, pools.read(GOLDEN / "strict"), tmp_path / "list.npy")
    assert uids.text(found.uids) == uids.text(np.load(GOLDEN / "published" / "image_based.npy"))
    assert found.record.assets["small_centroids"] == asset.load("small_centroids").sha256


def test_without_gcld3_the_error_names_the_way(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcld3", None)
    with pytest.raises(FilterError, match=r"pip install gcld3; or take the similar filter 'laion2b\[ftz\]'"):
        apply("laion2b", {}, pools.read(GOLDEN / "strict"), tmp_path / "list.npy")
    assert apply("laion2b[ftz]", {}, pools.read(GOLDEN / "strict"), tmp_path / "list.npy").record.filter == "laion2b[ftz]"
