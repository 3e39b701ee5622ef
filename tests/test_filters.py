"""Filters give the lists that they promise, whatever the metadata look like."""

import math
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacomp import tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.pool import Block, Span
from datacomp.declared import asset
from datacomp.errors import AssetError, FilterError
from datacomp.filters import catalog, top
from datacomp.filters.apply import apply
from datacomp.filters.base import Column, Provenance
from datacomp.pipelines import miniature

SCORE = "clip_l14_similarity_score"


def column(scores, first=0):
    listed = pl.DataFrame({"uid": [f"{uid:032x}" for uid in range(first, first + len(scores))]}, {"uid": pl.String})
    return Column(Block(listed, Span("a", 0, len(scores), len(scores)), Path("no-table.parquet")), np.array(scores, float))


def write_pool(folder, frame):
    """Somebody else's pool: two uneven files and no record."""
    frame = frame.with_columns(uid=pl.Series([f"{row:032x}" for row in range(len(frame))]))
    for stem, part in (("a", frame.head(3)), ("b", frame.slice(3))):
        tables.write_parquet(folder / "metadata" / f"{stem}.parquet", part)
    return pools.read(folder)


def rows(subset):
    return [int(text, 16) for text in uids.text(subset.uids)]


@pytest.fixture
def use_small_language_model(monkeypatch):
    """Basic filter's default model needs a download; the small one is at hand."""
    real = asset.load
    monkeypatch.setattr(asset, "load", lambda name: real("lid.176.ftz"))


def test_no_filter_keeps_everything_once(small_pool, tmp_path):
    found = apply("no_filter", {}, small_pool, tmp_path / "all.npy")
    assert found.record.uids_sha256 == small_pool.record.uids_sha256 == found.record.pool_uids_sha256
    assert len(found.uids) == 600


def test_random_keeps_an_exact_count_and_depends_on_its_seed_alone(small_pool, tmp_path):
    lists = [apply("random", {"fraction": 0.333, "seed": seed}, small_pool, tmp_path / f"{name}.npy") for name, seed in (("a", 0), ("b", 0), ("c", 1))]
    assert [len(found.uids) for found in lists] == [199, 199, 199]
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes() != (tmp_path / "c.npy").read_bytes()


def test_clip_score_keeps_what_reaches_the_threshold(tmp_path):
    pool = write_pool(tmp_path, pl.DataFrame({SCORE: [0.1, 0.5, float("nan"), 0.3, 0.3, None]}))
    assert rows(apply("clip_score", {"threshold": 0.3}, pool, tmp_path / "list.npy")) == [1, 3, 4]


def test_a_top_fraction_keeps_one_more_and_all_ties_as_published(tmp_path):
    pool = write_pool(tmp_path, pl.DataFrame({SCORE: [0.9, 0.8, 0.7, 0.7, 0.7, 0.1]}))
    assert rows(apply("clip_score", {"fraction": 0.34}, pool, tmp_path / "list.npy")) == [0, 1, 2, 3, 4]
    assert rows(apply("clip_score", {"fraction": 0.34, "exact_count": True}, pool, tmp_path / "exact.npy")) == [0, 1]
    assert len(rows(apply("clip_score", {"fraction": 1.0}, pool, tmp_path / "whole.npy"))) == 6


@given(st.lists(st.floats(-1, 1) | st.just(float("nan")), min_size=1, max_size=40), st.floats(0.01, 1))
def test_the_threshold_is_the_published_one(scores, fraction):
    numbers = [score for score in scores if not math.isnan(score)]
    if not numbers:
        return
    expected = sorted(numbers, reverse=True)[min(int(len(scores) * fraction), len(numbers) - 1)]
    assert top.fraction_threshold([column(scores[:5]), column(scores[5:], 5)], fraction) == expected


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, float("nan")]), min_size=1, max_size=40), st.floats(0.01, 1))
def test_an_exact_count_takes_the_best_scores_then_the_smallest_uids(scores, fraction):
    blocks = [column(scores[:7]), column(scores[7:], 7)]
    kept = np.flatnonzero(np.concatenate(list(top.exact(blocks, fraction))))
    expected = sorted(range(len(scores)), key=lambda row: (2 if math.isnan(scores[row]) else -scores[row], row))[: int(len(scores) * fraction)]
    assert kept.tolist() == sorted(expected)


BASIC = [  # caption, width, height, kept
    ("a photo of a cat on the table", 400, 300, True),
    ("a photo of a cat on the table", 199, 900, False),  # too small
    ("a photo of a cat on the table", 200, 600, True),  # exactly at both limits
    ("a photo of a cat on the table", 200, 601, False),  # too long a shape
    ("two words", 400, 300, False),
    ("a b c", 400, 300, False),  # five characters
    ("das ist ein schönes Bild von einem Hund", 400, 300, False),
    (None, 400, 300, False),
    ("", 400, 300, False),
    ("a photo of a\ncat on the table", 400, 300, True),
    ("a photo of a cat on the table", 0, 0, False),
    ("a photo of a cat on the table", None, 300, False),
]


@pytest.mark.usefixtures("use_small_language_model")
def test_basic_filter_follows_every_rule(tmp_path):
    captions, widths, heights, kept = zip(*BASIC, strict=True)
    pool = write_pool(tmp_path, pl.DataFrame({"text": captions, "original_width": widths, "original_height": heights}))
    assert rows(apply("basic_filter", {}, pool, tmp_path / "list.npy")) == [row for row, keep in enumerate(kept) if keep]


def test_another_language_model_is_another_filter(small_pool, tmp_path):
    record = apply("basic_filter", {"language_model": "ftz"}, small_pool, tmp_path / "list.npy").record
    assert record.filter == "basic_filter[ftz]"
    assert record.assets == {"lid.176.ftz": asset.load("lid.176.ftz").sha256}
    assert record.external_resources == ("fastText lid.176.ftz",)


def test_a_missing_language_model_says_how_to_bring_it(monkeypatch, tmp_path):
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path))
    with pytest.raises(AssetError, match=r"put the file from https://.*lid\.176\.bin at .*assets/lid\.176\.bin"):
        asset.locate(asset.load("lid.176.bin"), offline=True)


def test_an_asset_with_another_content_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path))
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "lid.176.bin").write_bytes(b"something else")
    with pytest.raises(AssetError, match="must have 7e69ec5451bc"):
        asset.locate(asset.load("lid.176.bin"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("unheard_of", {}, "Allowed: basic_filter, clip_score, .*image_based, .*text_based"),
        ("no_filter", {"fraction": 0.3}, "no_filter has no option 'fraction'"),
        ("random", {}, "add --fraction"),
        ("random", {"fraction": 1.5}, "Allowed: above 0 and up to 1"),
        ("clip_score", {}, "neither of them came"),
        ("clip_score", {"fraction": 0.1, "threshold": 0.2}, "both came"),
        ("clip_score", {"threshold": 0.2, "exact_count": True}, "need a fraction"),
        ("basic_filter", {"language_model": "huge"}, "Allowed: bin, ftz"),
    ],
)
def test_impossible_options_are_refused(name, options, message):
    with pytest.raises(FilterError, match=message):
        catalog.make(name, options)


def test_an_unknown_score_column_is_answered_with_the_known_ones(small_pool, tmp_path):
    with pytest.raises(Exception, match=r"has no column quality.*clip_l14_similarity_score"):
        apply("clip_score", {"score": "quality", "fraction": 0.3}, small_pool, tmp_path / "list.npy")
    assert list(tmp_path.iterdir()) == []


def test_a_filter_that_keeps_nothing_writes_nothing(small_pool, tmp_path):
    with pytest.raises(Exception, match="would be empty"):
        apply("clip_score", {"threshold": 2.0}, small_pool, tmp_path / "list.npy")
    assert list(tmp_path.iterdir()) == []


def use(monkeypatch, maker):
    """Have a filter called plug_in."""
    monkeypatch.setattr(catalog, "names", lambda: {"plug_in": ""})
    monkeypatch.setattr(catalog, "_maker", lambda name: maker)


class Repeating:
    """A plug-in: long captions twice, short ones not at all."""

    name = "repeating"
    columns = ("text",)

    def score(self, block: Block):
        return block.columns["text"].str.len_chars().to_numpy()

    def select(self, columns):
        return (np.where(found.scores > 30, 2, 0) for found in columns)

    def provenance(self):
        return Provenance(external_resources=("a ruler",))


def test_a_plug_in_is_found_by_its_entry_point_and_may_repeat_samples(small_pool, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "somebody_s_package", SimpleNamespace(Repeating=Repeating))
    point = metadata.EntryPoint("repeating", "somebody_s_package:Repeating", catalog.GROUP)
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] if group == catalog.GROUP else [])
    found = apply("repeating", {}, small_pool, tmp_path / "list.npy")
    assert found.record.samples == 2 * found.record.distinct_samples > 0
    assert found.record.external_resources == ("a ruler",)
    assert subsets.read(tmp_path / "list.npy").record == found.record


def test_the_plug_in_of_the_contributor_s_guide_works(small_pool, tmp_path, monkeypatch):
    guide = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text()
    written = {}
    exec(guide.split("```python\n")[1].split("```")[0], written)
    use(monkeypatch, written["make"])
    found = apply("plug_in", {"threshold": 30}, small_pool, tmp_path / "list.npy")
    captions = tables.read_parquet(small_pool.metadata("00000000"), ["uid", "text"]).filter(pl.col("text").str.len_chars() >= 30)
    assert uids.text(found.uids) == sorted(captions["uid"])
    assert found.record.options == {"threshold": 30}


def test_a_plug_in_cannot_take_one_of_our_names(monkeypatch):
    monkeypatch.setattr(metadata, "entry_points", lambda group: [metadata.EntryPoint("no_filter", "evil:make", catalog.GROUP)])
    assert catalog.names()["no_filter"] == "datacomp.filters.no_filter:make"


@pytest.mark.parametrize("spoilt", [lambda scores: scores[:-1], lambda scores: scores[:, None]])
def test_a_filter_that_loses_rows_is_refused(small_pool, tmp_path, monkeypatch, spoilt):
    class Losing(Repeating):
        def score(self, block):
            return spoilt(super().score(block))

    use(monkeypatch, Losing)
    with pytest.raises(FilterError, match="one score a row"):
        apply("plug_in", {}, small_pool, tmp_path / "list.npy")


@pytest.mark.parametrize("times", [np.full(600, 0.5), np.full(600, -1), np.ones(5, int)], ids=["fractions", "negative", "too few"])
def test_a_selection_that_is_no_count_is_refused(small_pool, tmp_path, monkeypatch, times):
    class Odd(Repeating):
        def select(self, columns):
            return iter([times])

    use(monkeypatch, Odd)
    with pytest.raises(FilterError, match="whole number of copies"):
        apply("plug_in", {}, small_pool, tmp_path / "list.npy")


def test_the_oracle_says_that_it_is_no_valid_entry(small_pool, tmp_path):
    found = miniature.oracle(small_pool, tmp_path / "oracle.npy")
    truth = tables.read_parquet(small_pool.path / "truth" / "00000000.parquet")
    good = truth.filter(pl.col("caption_kind").str.starts_with("faithful") & (pl.col("picture_kind") == "sound"))
    assert uids.text(found.uids) == sorted(good["uid"])
    assert "no filter may see" in found.record.ineligible
    assert "oracle" not in catalog.names()
