"""Filters combined on the command line, in spans, by processes, and after a kill."""

import numpy as np
import polars as pl
import pytest

from datacomp import tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.errors import FilterError, PoolError
from datacomp.filters import apply as applying
from datacomp.filters import clip_score, expression
from datacomp.filters.apply import apply
from datacomp.filters.basic_filter import BasicFilter

SCORE = "clip_l14_similarity_score"


def names(subset):
    return uids.text(subset.uids)


def kept(text, pool, tmp_path, **options):
    return names(apply(text, options, pool, tmp_path / "list.npy"))


@pytest.fixture
def in_spans(monkeypatch):
    """Spans of 70 rows and processes' shares of 100."""
    monkeypatch.setattr(pools, "BLOCK_ROWS", 70)
    monkeypatch.setattr(applying, "TASK_ROWS", 100)


FILTERS = [
    ("no_filter", {}),
    ("random", {"fraction": 0.3}),
    ("clip_score", {"fraction": 0.3}),
    ("clip_score", {"fraction": 0.3, "exact_count": True}),
    ("basic_filter", {"language_model": "ftz"}),
    ("clip_score(l14, 0.4) & basic_filter(ftz)", {}),
]


@pytest.mark.usefixtures("in_spans")
@pytest.mark.parametrize(("text", "options"), FILTERS)
@pytest.mark.parametrize("workers", [1, 2])
def test_neither_spans_nor_processes_change_a_list(text, options, workers, small_pool, tmp_path, monkeypatch):
    found = apply(text, options, small_pool, tmp_path / "spans.npy", workers=workers)
    monkeypatch.undo()
    assert found.record == apply(text, options, small_pool, tmp_path / "whole.npy", workers=1).record
    assert (tmp_path / "spans.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"spans.npy", "spans.json", "whole.npy", "whole.json"}


@pytest.mark.usefixtures("in_spans")
@pytest.mark.parametrize("publishes", [0, 1, 2, 5, 12, 21, 29])
def test_a_filter_that_was_stopped_goes_on_to_the_same_list(publishes, small_pool, tmp_path, stopped, monkeypatch):
    text = "clip_score(l14, 0.4) & basic_filter(ftz)"
    expected = apply(text, {}, small_pool, tmp_path / "undisturbed.npy", workers=1)
    with stopped(publishes):
        apply(text, {}, small_pool, tmp_path / "list.npy", workers=1)
    assert not (tmp_path / "list.npy").exists()
    asked = []
    real = pools.read_block
    monkeypatch.setattr(pools, "read_block", lambda pool, span, columns: asked.extend([span] * bool(columns)) or real(pool, span, columns))
    assert apply(text, {}, small_pool, tmp_path / "list.npy", workers=1).record == expected.record
    assert len(asked) <= 18 - max(0, (publishes - 3) // 3), "spans that were answered were read again"
    assert not (tmp_path / "list.npy.parts").exists()


@pytest.mark.usefixtures("in_spans")
@pytest.mark.parametrize("left", [0, 100])
def test_an_answer_that_a_failing_machine_cut_short_is_given_again(small_pool, tmp_path, stopped, left):
    expected = apply("clip_score", {"fraction": 0.4}, small_pool, tmp_path / "undisturbed.npy")
    with stopped(7):
        apply("clip_score", {"fraction": 0.4}, small_pool, tmp_path / "list.npy", workers=1)
    answers = sorted((tmp_path / "list.npy.parts" / "answers").glob("*.npy"))
    assert len(answers) == 6
    answers[2].write_bytes(answers[2].read_bytes()[:left])
    assert apply("clip_score", {"fraction": 0.4}, small_pool, tmp_path / "list.npy", workers=1).record == expected.record


@pytest.mark.usefixtures("in_spans")
def test_answers_to_another_question_are_not_used(small_pool, tmp_path, stopped):
    with stopped(9):
        apply("clip_score", {"fraction": 0.4}, small_pool, tmp_path / "list.npy", workers=1)
    found = apply("clip_score", {"fraction": 0.4, "score": "b32"}, small_pool, tmp_path / "list.npy", workers=1)
    assert names(found) == kept("clip_score", small_pool, tmp_path, fraction=0.4, score="b32")


def test_combinations_keep_what_both_either_or_one_alone_keeps(small_pool, tmp_path):
    one, other = (set(kept(text, small_pool, tmp_path)) for text in ("clip_score(l14, 0.5)", "clip_score(b32, 0.5)"))
    assert one - other
    assert other - one
    assert set(kept("clip_score(l14, 0.5) & clip_score(b32, 0.5)", small_pool, tmp_path)) == one & other
    assert set(kept("clip_score(l14, 0.5) | clip_score(b32, 0.5)", small_pool, tmp_path)) == one | other
    assert set(kept("clip_score(l14, 0.5) - clip_score(b32, 0.5)", small_pool, tmp_path)) == one - other
    assert (
        set(kept("no_filter - (clip_score(l14, 0.5) | clip_score(b32, 0.5))", small_pool, tmp_path))
        == set(kept("no_filter", small_pool, tmp_path)) - one - other
    )


def test_a_fraction_in_a_combination_is_of_the_whole_pool(small_pool, tmp_path):
    basic, best = (set(kept(text, small_pool, tmp_path)) for text in ("basic_filter[ftz]", "clip_score(l14, 0.3)"))
    for text in ("basic_filter[ftz] & clip_score(l14, 0.3)", "clip_score(l14, 0.3) & basic_filter[ftz]"):
        assert set(kept(text, small_pool, tmp_path)) == basic & best


def test_a_filter_of_rows_is_asked_only_about_rows_that_the_other_keeps(small_pool, tmp_path, monkeypatch):
    asked = []
    answer = BasicFilter.score
    monkeypatch.setattr(BasicFilter, "score", lambda self, block: asked.append(len(block)) or answer(self, block))
    kept("basic_filter(ftz) & clip_score(l14, 0.1)", small_pool, tmp_path)
    assert asked == [61]


def test_the_record_says_what_was_combined(small_pool, tmp_path):
    record = apply("(basic_filter(ftz) | random(0.1)) & clip_score", {"fraction": 0.3}, small_pool, tmp_path / "list.npy").record
    assert record.filter == "(basic_filter[ftz] | random) & clip_score"
    assert record.options == {"1.language_model": "ftz", "2.fraction": 0.1, "3.fraction": 0.3}
    assert set(record.assets) == {"lid.176.ftz"}
    assert subsets.read(tmp_path / "list.npy").record == record


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("clip_score(", {}, "is no combination of filters"),
        ("clip_score + no_filter", {}, "neither a filter nor an option"),
        ("__import__('os').system('true')", {}, "neither a filter nor an option"),
        ("no_filter & [x for x in y]", {}, "neither a filter nor an option"),
        ("clip_score(lambda: 1)", {}, "neither a filter nor an option"),
        ("no_filter(1)", {}, "got 1 values"),
        ("no_filter & unheard_of", {}, "'unheard_of' is no filter"),
        ("no_filter & clip_score(l14, 0.3)", {"seed": 3}, "has an option seed"),
        ("clip_score(l14, fraction='much')", {}, "should be a valid number"),
        ("clip_score(*x)", {}, "neither a filter nor an option"),
        ("clip_score(**x)", {}, "neither a filter nor an option"),
        ("(" * 5000, {}, "is no combination of filters"),
    ],
)
def test_what_is_no_combination_is_refused(text, options, message):
    with pytest.raises(FilterError, match=message):
        expression.make(text, options)


def test_a_band_is_the_best_less_the_very_best(small_pool, tmp_path):
    band = kept("clip_score(fraction=0.2, skip_fraction=0.1)", small_pool, tmp_path)
    assert set(band) == set(kept("clip_score(fraction=0.2)", small_pool, tmp_path)) - set(kept("clip_score(fraction=0.1)", small_pool, tmp_path))
    assert len(kept("clip_score(fraction=0.2, skip_fraction=0.1, exact_count=True)", small_pool, tmp_path)) == 60
    with pytest.raises(FilterError, match=r"is to be skipped of its best 0\.2"):
        expression.make("clip_score(fraction=0.2, skip_fraction=0.2)", {})


def table_of(pool, folder, change=lambda frame: frame, name="mine"):
    """The L/14 scores as a table of one's own, in another order."""
    frame = tables.read_parquet(pool.metadata("00000000"), ["uid", SCORE]).rename({SCORE: name}).sample(fraction=1.0, shuffle=True, seed=1)
    tables.write_parquet(folder / "scores.parquet", change(frame))
    return str(folder / "scores.parquet")


def test_a_table_of_scores_ranks_a_pool(small_pool, tmp_path):
    path = table_of(small_pool, tmp_path)
    found = apply("score", {"scores": path, "fraction": 0.3}, small_pool, tmp_path / "list.npy")
    assert names(found) == kept("clip_score(l14, 0.3)", small_pool, tmp_path)
    assert found.record.external_resources == ("scores scores.parquet",)


def test_a_folder_of_score_tables_is_read_file_by_file(small_pool, tmp_path):
    (tmp_path / "scores").mkdir()
    table_of(small_pool, tmp_path, lambda frame: frame.with_columns(other=pl.lit(0.0)))
    (tmp_path / "scores.parquet").rename(tmp_path / "scores" / "00000000.parquet")
    with pytest.raises(FilterError, match="has 2 columns of numbers"):
        expression.make("score", {"scores": str(tmp_path / "scores"), "fraction": 0.3})
    assert len(kept("score", small_pool, tmp_path, scores=str(tmp_path / "scores"), score="mine", fraction=0.3)) == 181


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.head(599), "has no score for 1 of 600 rows"),
        (lambda frame: pl.concat([frame, frame.head(1)]), "several scores for uid"),
        (lambda frame: frame.with_columns(mine=pl.col("mine").cast(pl.String)), "has 0 columns of numbers"),
        (lambda frame: frame.rename({"uid": "id"}), "has no column uid"),
    ],
)
def test_a_table_that_does_not_score_the_pool_is_refused(change, message, small_pool, tmp_path):
    path = table_of(small_pool, tmp_path, change)
    with pytest.raises((FilterError, PoolError), match=message):
        kept("score", small_pool, tmp_path, scores=path, fraction=0.3)


def test_a_score_that_is_no_number_is_refused(small_pool, tmp_path):
    with pytest.raises(PoolError, match=r"column text of 00000000\.parquet holds String"):
        kept("clip_score", small_pool, tmp_path, score="text", fraction=0.3)


def test_the_best_are_compared_in_the_precision_of_the_column(tmp_path):
    ids = [f"{row:032x}" for row in range(3)]
    scores = pl.Series([0.7, 0.7, 0.69], dtype=pl.Float32)  # 0.7 in float32 is less than 0.7
    tables.write_parquet(tmp_path / "pool" / "metadata" / "a.parquet", pl.DataFrame({"uid": ids, SCORE: scores}))
    assert kept("clip_score", pools.read(tmp_path / "pool"), tmp_path, threshold=0.7) == ids[:2]


def test_a_plan_says_what_would_be_done(small_pool, tmp_path):
    plan = applying.plan("clip_score & random", {"fraction": 0.3}, small_pool)
    assert (str(plan.tree), plan.rows, len(plan.spans)) == ("clip_score & random", 600, 1)
    assert list(tmp_path.iterdir()) == []
    assert clip_score.NETWORKS["l14"] == SCORE


def test_features_are_read_by_rows(small_pool, monkeypatch):
    whole = tables.read_npz(small_pool.features("00000000"), "l14_img")
    monkeypatch.setattr(pools, "BLOCK_ROWS", 130)
    blocks = list(pools.blocks(small_pool, ()))
    assert np.array_equal(np.concatenate([block.feature("l14_img") for block in blocks]), whole)
    odd = np.arange(130) % 2 == 1
    assert np.array_equal(blocks[1].where(odd).feature("l14_img"), whole[130:260][odd])
