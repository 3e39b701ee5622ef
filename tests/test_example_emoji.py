"""The emoji example runs end to end, and what it draws is what it says it draws."""

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from datacomp import tables, tars
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets

FOLDER = Path(__file__).parent.parent / "examples" / "emoji"
pytestmark = pytest.mark.slow  # they need Debian's fonts-noto-color-emoji


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The example at a small size, in one process and with tests' own cache."""
    out = tmp_path_factory.mktemp("emoji") / "out"
    arguments = ["--out", out, "--scale", "smoke", "--web", "1000", "--clean", "400", "--test", "100", "--train"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, FOLDER / "run.py", *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done.stdout


@pytest.fixture(scope="module")
def draw():
    spec = importlib.util.spec_from_file_location("draw", FOLDER / "draw.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_prints_its_tables(ran, draw):
    out, printed = ran
    assert printed == (out / "tables.md").read_text()
    assert [line for line in printed.splitlines() if line.startswith("**")] == [
        f"**1,000 samples found, {pools.read(out / 'pool').record.samples:,} in the pool**",
        "**A right caption scores higher than a wrong one**",
        "**Lists against the truth**",
        f"**Matching 100 new pictures with {len(draw.emoji()):,} names**",
    ]
    assert not re.search(r"\bnan\b", printed)


def test_the_pool_accounts_for_every_sample_and_the_truth_s_uids_are_the_pool_s(ran):
    out, _ = ran
    made, again = pools.read(out / "pool").record, pools.read(out / "pool-scored").record
    assert set(made.built.dropped_samples) == {"a duplicate", "a picture that cannot be decoded", "no caption", "a json that is none"}
    assert made.samples + sum(made.built.dropped_samples.values()) == made.built.found_samples == 1000
    assert (made.uids_sha256, made.content_sha256) == (again.uids_sha256, again.content_sha256)
    assert made.networks != again.networks
    truth = tables.read_parquet(out / "shards" / "truth.parquet")
    listed = tables.read_parquet(pools.read(out / "pool").metadata("00000000"))["uid"]
    assert set(truth["uid"]) <= set(listed)
    assert len(truth) > 0.95 * len(listed)


def test_lists_keep_what_they_are_to_keep(ran):
    out, _ = ran
    samples = pools.read(out / "pool").record.samples
    kept = {name: len(subsets.read(out / "lists" / f"{name}.npy").uids) for name in ("no_filter", "random", "own_clean", "basic_filter")}
    assert kept["no_filter"] == samples
    assert kept["random"] == samples // 2
    assert samples // 2 < kept["own_clean"] < 0.55 * samples
    assert 0 < kept["basic_filter"] < samples


def test_wrong_captions_are_the_stated_share_and_never_the_right_name(ran, draw):
    truth = tables.read_parquet(ran[0] / "shards" / "truth.parquet")
    shares = dict(truth["caption_kind"].value_counts(normalize=True).iter_rows())
    assert shares == pytest.approx(draw.CAPTIONS, abs=0.06)
    for number in range(200):
        drawn = draw.sample("web", number, 0)
        if drawn.truth["caption_kind"] == "wrong":
            assert drawn.caption.replace(" emoji", "").removeprefix("an emoji of a ").split(",")[0] != drawn.truth["emoji"]
        elif drawn.truth["caption_kind"] in draw.RIGHT:
            assert drawn.truth["emoji"] in drawn.caption


def test_a_drawn_set_is_a_function_of_its_seed(ran, draw):
    tar = ran[0] / "shards" / "clean" / "clean-0000.tar"
    sample, found = next(tars.read_all(tar))
    drawn = draw.sample("clean", 0, 0)
    assert found[drawn.extension] == drawn.picture
    assert found["txt"].decode() == drawn.caption
    assert not drawn.truth["is_unseen"]
    assert draw.sample("clean", 0, 1) != drawn
    assert json.loads(found["json"])["original_width"] == drawn.original_size[0]
    uid = hashlib.sha256(hashlib.sha256(found[sample.image().name.rsplit(".")[-1]]).digest() + found["txt"]).hexdigest()[:32]
    assert uid in set(pl.concat([tables.read_parquet(path) for path in (ran[0] / "clean" / "metadata").glob("*.parquet")])["uid"])
