"""Scores that no network's pass gives, on values worked by hand; scores of others, taken in after strict checks; sampling with a soft cap."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from folders import content
from typer.testing import CliRunner

from datacomp import cli, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import scores as passes
from datacomp.errors import DatacompError, FilterError, StageError
from datacomp.filters import soft_cap
from datacomp.filters.apply import apply
from datacomp.network import choose
from datacomp.score import bring, embeddings, fuse, neg_clip_loss, norm_sim, run
from datacomp.score.fuse import Weighted
from datacomp.score.run import Settings


def uid(row):
    return f"{row:032x}"


@pytest.fixture
def pool(tmp_path):
    """Somebody's pool of seven rows in two files, with embeddings of two dimensions."""
    angles = np.linspace(0, 1.5, 7)
    for stem, rows in (("a", range(4)), ("b", range(4, 7))):
        tables.write_parquet(tmp_path / "pool" / "metadata" / f"{stem}.parquet", pl.DataFrame({"uid": [uid(row) for row in rows]}))
        images = np.stack([np.cos(angles[list(rows)]), np.sin(angles[list(rows)])], axis=1)
        arrays = {"l14_img": images * 3, "l14_txt": np.ones((len(rows), 2))}
        tables.write_npz(tmp_path / "pool" / "metadata" / f"{stem}.npz", {name: array.astype(np.float16) for name, array in arrays.items()})
    return pools.read(tmp_path / "pool")


def by_row(done):
    return {int(name, 16): value for path in done.tables() for name, value in tables.read_parquet(path).rows()}


def table(pool, out, scores):
    """Scores of the pool's first rows, as somebody else's file and as one of ours."""
    path = out.with_suffix(".parquet")
    tables.write_parquet(path, pl.DataFrame({"uid": [uid(row) for row in range(len(scores))], "s": scores}).drop_nulls())
    return passes.open_table(bring.bring(pool, path, out, method=out.name).path)


# negCLIPLoss and NormSim


def test_neg_clip_loss_by_hand():
    """Two pairs at right angles, T = 1: each has cosine 1 and in both sums e + 1, so it scores 1 - log(e + 1)."""
    same = torch.eye(2)
    assert neg_clip_loss.of_batch(same, same, 1.0).tolist() == pytest.approx([1 - np.log(np.e + 1)] * 2)
    crossed = torch.eye(2).flip(0)  # each picture is the other's caption: cosine 0, the sums as before
    assert neg_clip_loss.of_batch(same, crossed, 1.0).tolist() == pytest.approx([-np.log(np.e + 1)] * 2)
    hub = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # captions alike: picture 0 has e + e, caption 0 has e + 1; T = 0.5 squares both
    expected = 1 - 0.25 * (np.log(2 * np.e**2) + np.log(np.e**2 + 1))
    assert float(neg_clip_loss.of_batch(same, hub, 0.5)[0]) == pytest.approx(expected)


def test_neg_clip_loss_of_a_small_temperature_does_not_overflow():
    assert torch.isfinite(neg_clip_loss.of_batch(torch.eye(3), torch.eye(3), 1e-4)).all()


def test_neg_clip_loss_takes_the_mean_over_random_batches_of_a_file():
    rng = np.random.default_rng(0)
    images, texts = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in rng.normal(size=(2, 10, 4)).astype(np.float32))
    how = {"temperature": 0.1, "seed": 0, "name": "a", "device": "cpu"}
    whole = neg_clip_loss.of_file(images, texts, batch=10, shuffles=5, **how)
    assert whole == pytest.approx(neg_clip_loss.of_batch(torch.from_numpy(images), torch.from_numpy(texts), 0.1).numpy(), abs=1e-6)
    few, many, more = (neg_clip_loss.of_file(images, texts, batch=4, shuffles=shuffles, **how) for shuffles in (1, 400, 800))
    assert np.abs(many - more).max() < np.abs(few - more).max() / 3
    assert np.array_equal(few, neg_clip_loss.of_file(images, texts, batch=4, shuffles=1, **how))


def test_neg_clip_loss_is_written_for_each_file_of_the_pool(pool, tmp_path):
    found = embeddings.find(pool, "l14", None)
    assert embeddings.groups(found, 4) == [("a", "b")]  # three rows are no batch of four
    assert embeddings.groups(found, 3) == [("a",), ("b",)]
    done = neg_clip_loss.make(found, tmp_path / "neg", temperature=0.5, batch=7, device="cpu")
    images, texts = (torch.from_numpy(embeddings.joined(found, ("a", "b"), kind)) for kind in ("img", "txt"))
    assert list(by_row(done).values()) == pytest.approx(neg_clip_loss.of_batch(images, texts, 0.5).tolist(), abs=1e-6)
    assert done.record.inputs.options == {"prefix": "l14", "temperature": 0.5, "batch": 7, "shuffles": 10, "seed": 0}
    with pytest.raises(StageError, match="holds scores with another options"):
        neg_clip_loss.make(found, tmp_path / "neg", temperature=0.6, batch=7, device="cpu")
    with pytest.raises(StageError, match="a temperature above 0"):
        neg_clip_loss.make(found, tmp_path / "other", temperature=0.0)


def test_norm_sim_by_hand():
    targets = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    images = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert norm_sim.of_vectors(images, targets, "inf").tolist() == pytest.approx([0.8, 1.0])
    assert norm_sim.of_vectors(images, targets, "2").tolist() == pytest.approx([0.8, np.sqrt(1 + 0.36)])


def test_norm_sim_ranks_a_pool_by_its_targets(pool, tmp_path):
    np.save(tmp_path / "targets.npy", np.array([[5.0, 0.0]]))  # lengths have no say
    done = norm_sim.make(embeddings.find(pool, "l14", None), tmp_path / "targets.npy", tmp_path / "sim", device="cpu")
    assert list(by_row(done).values()) == pytest.approx(np.cos(np.linspace(0, 1.5, 7)), abs=2e-3)
    listed = apply("score", {"scores": str(done.path), "fraction": 0.3, "exact_count": True}, pool, tmp_path / "list.npy")
    assert uids.text(listed.uids) == [uid(0), uid(1)]
    assert listed.record.external_resources == ("scores by NormSim", "the pool's l14 embeddings", "targets targets.npy")
    np.save(tmp_path / "wide.npy", np.ones((1, 3)))
    with pytest.raises(StageError, match="embeddings have 2 dimensions, the targets 3"):
        norm_sim.make(embeddings.find(pool, "l14", None), tmp_path / "wide.npy", tmp_path / "wide", device="cpu")
    with pytest.raises(StageError, match="--norm 1 came"):
        norm_sim.make(embeddings.find(pool, "l14", None), tmp_path / "targets.npy", tmp_path / "one", norm="1")


def test_embeddings_of_a_pass_serve_as_well(small_pool, tmp_path):
    reference = choose.choose(["b32=none"])[0]
    scored = run.score(small_pool, reference, tmp_path / "scores", Settings("cpu", 64, 1))
    own, given = (embeddings.find(small_pool, "l14", folder) for folder in (None, scored.path))
    both = [neg_clip_loss.make(found, tmp_path / name, batch=200, shuffles=2, device="cpu") for name, found in (("own", own), ("given", given))]
    one, other = ([value for path in done.tables() for value in tables.read_parquet(path)["score"]] for done in both)
    assert one == pytest.approx(other, abs=2e-3)  # float16
    assert both[1].record.used().external_resources == ("scores by negCLIPLoss", "scores by reference nano")
    with pytest.raises(StageError, match="has no embeddings"):
        embeddings.find(small_pool, "l14", both[0].path)


# Fusion


def fused(pool, out, *columns, by="weight", weights=None, **how):
    made = [table(pool, out.with_name(f"{out.name}-{place}"), column) for place, column in enumerate(columns)]
    return by_row(fuse.make(pool, [Weighted(one, weight) for one, weight in zip(made, weights or [1.0] * len(made), strict=True)], out, by=by, **how))


def test_fusion_by_weight_by_hand(pool, tmp_path):
    first, second = [0.0, 1.0, 2.0, 4.0, 0.0, 0.0, 0.0], [8.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0]
    assert fused(pool, tmp_path / "plain", first, second, weights=[3.0, 1.0])[3] == pytest.approx((3 * 4 + 4) / 4)
    assert fused(pool, tmp_path / "minmax", first, second, normalise="minmax")[3] == pytest.approx((1 + 0.5) / 2)
    standard = (np.array(first) - 1) / np.std(first) + (np.array(second) - 12 / 7) / np.std(second)
    assert list(fused(pool, tmp_path / "standard", first, second, normalise="standard").values()) == pytest.approx(standard / 2, abs=1e-6)


def test_fusion_by_rank_by_hand_with_ties_and_gaps(pool, tmp_path):
    first = [0.1, -0.5, -0.0, 0.0, 9.0, 9.0, None]  # of six: shares that score lower 3/6, 0, 1/6, 1/6, 4/6, 4/6
    second = [1.0, 2.0, 3.0, 4.0, 5.0, None, 7.0]  # of six: 0, 1/6, …, 4/6, none, 5/6
    found = fused(pool, tmp_path / "ranks", first, second, by="rank")
    expected = {0: (3 + 0) / 12, 1: (0 + 1) / 12, 2: (1 + 2) / 12, 3: (1 + 3) / 12, 4: (4 + 4) / 12}
    assert found == pytest.approx(expected)
    assert passes.read(tmp_path / "ranks").record.dropped_samples == {"no score": 2}


def test_ranks_are_those_of_a_sort_whatever_the_blocks(pool, tmp_path, monkeypatch):
    real = fuse.sorting.merge
    monkeypatch.setattr(fuse.sorting, "merge", lambda runs: real(runs, 2))  # ties across blocks
    first, second = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 2.0], [3.0, 3.0, 0.0, 3.0, 3.0, 3.0, 3.0]
    found = fused(pool, tmp_path / "ranks", first, second, by="rank", weights=[1.0, 0.0])
    assert list(found.values()) == pytest.approx([2 / 7] * 4 + [0, 0] + [6 / 7])


def test_what_cannot_be_fused_is_refused(pool, tmp_path):
    one, flat = table(pool, tmp_path / "one", list(range(7))), table(pool, tmp_path / "flat", [1.0] * 7)
    for scores, how, said in (
        ([one], {"by": "rank"}, "1 scores came"),
        ([one, flat], {"by": "magic"}, "--by magic"),
        ([one, flat], {"by": "rank", "normalise": "minmax"}, "--by rank --normalise minmax came"),
        ([one, flat], {"by": "weight", "normalise": "minmax"}, "score 2 has the same number for all"),
    ):
        with pytest.raises(StageError, match=said):
            fuse.make(pool, [Weighted(score, 1.0) for score in scores], tmp_path / "no", **how)
    with pytest.raises(StageError, match="weights 1, -1"):
        fuse.make(pool, [Weighted(one, 1.0), Weighted(flat, -1.0)], tmp_path / "no", by="weight")


# Scores computed elsewhere


def test_scores_come_from_parquet_csv_and_pairs_of_arrays_alike(pool, tmp_path):
    rows, scores = [5, 0, 3], [0.5, -1.0, 2.0]
    frame = pl.DataFrame({"uid": [uid(row) for row in rows], "itm": scores, "note": ["x"] * 3})
    frame.write_parquet(tmp_path / "s.parquet")
    frame.write_csv(tmp_path / "s.csv")
    np.save(tmp_path / "u.npy", uids.parse(frame["uid"]))
    np.save(tmp_path / "v.npy", np.array(scores, np.float32))
    said = {"method": "MLM filter, ITM", "resources": ("a language model",)}
    made = [
        bring.bring(pool, tmp_path / "s.parquet", tmp_path / "parquet", **said),
        bring.bring(pool, tmp_path / "s.csv", tmp_path / "csv", column="itm", **said),
        bring.bring(pool, tmp_path / "u.npy", tmp_path / "npy", values=tmp_path / "v.npy", **said),
    ]
    assert [by_row(done) for done in made] == [{0: -1.0, 3: 2.0, 5: 0.5}] * 3
    assert made[0].record.dropped_samples == {"no score": 4}
    assert made[2].record.inputs.assets.keys() == {"u.npy", "v.npy"}
    listed = apply("score", {"scores": str(made[0].path), "threshold": 0.0}, pool, tmp_path / "list.npy")
    assert uids.text(listed.uids) == [uid(3), uid(5)]
    assert listed.record.external_resources == ("scores by MLM filter, ITM", "a language model")


@pytest.mark.parametrize(
    ("names", "scores", "said"),
    [
        ([uid(0), uid(9)], [1.0, 2.0], "scores 1 uids that the pool does not have, 0{31}9 the first"),
        ([uid(0), uid(0)], [1.0, 2.0], "several scores for uid 0{32}"),
        ([uid(0), "abc"], [1.0, 2.0], "'abc', which is no uid"),
        ([uid(0), uid(10).upper()], [1.0, 2.0], "which is no uid"),
        ([uid(0), uid(1)], [1.0, float("nan")], "has nan as the score of uid 0{31}1"),
        ([uid(0), uid(1)], [1.0, float("inf")], "has inf as the score"),
        ([uid(0), uid(1)], [1.0, 1e300], "as the score of uid 0{31}1"),
        ([uid(0), uid(1)], [1.0, None], "has None as the score"),
        ([0, 1], [1.0, 2.0], "has uids of type Int64"),
        ([], [], "has no row"),
    ],
)
def test_scores_that_do_not_hold_are_refused_and_leave_no_table(pool, tmp_path, names, scores, said):
    frame = pl.DataFrame({"uid": names, "s": scores}, schema={"uid": pl.Int64 if 0 in names else pl.String, "s": pl.Float64})
    frame.write_parquet(tmp_path / "s.parquet")
    with pytest.raises(DatacompError, match=said):
        bring.bring(pool, tmp_path / "s.parquet", tmp_path / "out", method="mine")
    assert not list((tmp_path / "out").glob("*.parquet"))
    assert not (tmp_path / "out" / passes.MADE).exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"uid,s\n{uid(0)},high\n", "has 'high' as the score"),
        (f"uid,s,t\n{uid(0)},1,2\n", "name the column of the scores"),
        (f"name,s\n{uid(0)},1\n", "has columns name, s"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_csv_that_is_none_is_refused(pool, tmp_path, text, said):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(StageError, match=said):
        bring.bring(pool, tmp_path / "s.csv", tmp_path / "out", method="mine")


def test_arrays_that_are_no_pair_are_refused(pool, tmp_path):
    np.save(tmp_path / "u.npy", uids.parse([uid(0), uid(1)]))
    np.save(tmp_path / "short.npy", np.ones(1))
    np.save(tmp_path / "evil.npy", np.array([print, print]), allow_pickle=True)
    for values, said in (
        ("short.npy", "holds float64 of shape"),
        ("evil.npy", "is no array"),
        (None, "came without --values"),
        ("no.npy", "there are no scores"),
    ):
        with pytest.raises(StageError, match=said):
            bring.bring(pool, tmp_path / "u.npy", tmp_path / "out", method="mine", values=tmp_path / values if values else None)


def test_an_interrupted_import_goes_on_to_the_same_bytes(pool, tmp_path, stopped):
    pl.DataFrame({"uid": [uid(row) for row in range(7)], "s": np.arange(7.0)}).write_parquet(tmp_path / "s.parquet")
    whole = bring.bring(pool, tmp_path / "s.parquet", tmp_path / "whole", method="mine")
    for publishes in range(6):
        out = tmp_path / str(publishes)
        with stopped(publishes):
            bring.bring(pool, tmp_path / "s.parquet", out, method="mine")
        if (out / passes.ASKED).exists():
            with pytest.raises(StageError, match="holds no finished scores"):
                passes.read(out)
        assert content(bring.bring(pool, tmp_path / "s.parquet", out, method="mine").path) == content(whole.path)


def test_a_made_table_mixed_with_another_is_refused(pool, tmp_path):
    one, other = table(pool, tmp_path / "one", list(range(7))), table(pool, tmp_path / "other", [float(-row) for row in range(7)])
    (one.path / "b.parquet").write_bytes((other.path / "b.parquet").read_bytes())
    with pytest.raises(StageError, match=r"not those that made\.json names"):
        apply("score", {"scores": str(one.path), "fraction": 0.5}, pool, tmp_path / "list.npy")


# Soft cap sampling


def test_a_soft_cap_by_hand():
    """Logits so far apart that no variate turns them: a penalty of 1,000 after each round makes the three samples take turns."""
    names = uids.parse([uid(row) for row in range(3)])
    logits = np.array([3_000.0, 2_500.0, 0.0])
    assert soft_cap.draw(logits, names, 3, 1, 1_000.0, seed=0).tolist() == [2, 1, 0]
    assert soft_cap.draw(logits, names, 6, 1, 1_000.0, seed=0).tolist() == [3, 3, 0]
    assert soft_cap.draw(logits, names, 4, 2, 0.0, seed=0).tolist() == [2, 2, 0]  # two rounds of two, no penalty
    assert soft_cap.draw(logits, names, 5, 2, 0.0, seed=0).tolist() == [3, 2, 0]  # the last round has one


def test_soft_cap_draws_by_softmax_of_the_scores():
    names = uids.parse([uid(row) for row in range(2)])
    times = soft_cap.draw(np.log([3.0, 1.0]), names, 4_000, 1, 0.0, seed=1)
    assert times.sum() == 4_000
    assert times[0] / 4_000 == pytest.approx(0.75, abs=0.03)


def test_a_soft_cap_list_has_repetitions_and_its_exact_size(pool, tmp_path):
    scored = table(pool, tmp_path / "scores", [9.0, 1.0, 0.0, 0.0, 0.0, 0.0, None])
    options = {"scores": str(scored.path), "fraction": 2.0, "round_samples": 2, "penalty": 0.5}
    listed = apply("soft_cap", options, pool, tmp_path / "list.npy")
    assert (listed.record.samples, listed.record.filter, listed.record.options["penalty"]) == (12, "soft_cap", 0.5)
    assert int(uids.count(uids.parse([uid(0)]), listed.uids)[0]) >= 5  # in nearly every round of two
    assert int(uids.count(uids.parse([uid(6)]), listed.uids)[0]) == 0
    again = apply("soft_cap", options, pool, tmp_path / "again.npy")
    assert np.array_equal(again.uids, listed.uids)
    for wrong, said in (({"fraction": 0.0}, "a fraction above 0"), ({"penalty": -1.0}, "a penalty of 0 or more"), ({"scores": ""}, "soft_cap needs scores")):
        with pytest.raises(FilterError, match=said):
            apply("soft_cap", options | wrong, pool, tmp_path / "no.npy")


# The commands


def test_the_commands_make_tables_that_the_filter_takes(pool, tmp_path):
    np.save(tmp_path / "targets.npy", np.eye(2))
    frame = pl.DataFrame({"uid": [uid(row) for row in range(6)], "s": np.arange(6.0)})
    frame.write_parquet(tmp_path / "s.parquet")
    at = lambda name: str(tmp_path / name)  # noqa: E731
    for arguments, said in (
        (["import", at("s.parquet"), "--method", "mine", "--out", at("mine")], "6 of 7 samples have a score, 1 have none"),
        (["neg-clip-loss", "--device", "cpu", "--out", at("neg")], "7 of 7 samples have a score"),
        (["norm-sim", "--targets", at("targets.npy"), "--norm", "2", "--device", "cpu", "--out", at("sim")], "7 of 7"),
        (["fuse", "--scores", f"{at('mine')}=2", "--scores", at("neg"), "--by", "rank", "--out", at("fused")], "6 of 7"),
    ):
        done = CliRunner().invoke(cli.app, ["scores", *arguments, "--pool", str(pool.path)])
        assert said in done.stdout, done
    soft = ["filter", "soft_cap", "--scores", at("fused"), "--pool", str(pool.path), "--penalty", "0.2", "--round-samples", "3", "--out", at("list.npy")]
    assert "6 uids in" in CliRunner().invoke(cli.app, soft).stdout
    assert Path(at("list.json")).is_file()
