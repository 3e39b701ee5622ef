"""Every command of docs/from-datacomp.md works, and an old filter command gives the list of the new one."""

import re
import shlex
import shutil
from pathlib import Path

import evaluation_sets
import numpy as np
import pytest
import web
from test_hub import parquet
from test_parity import GOLDEN, same_models  # noqa: F401 - a fixture
from typer.testing import CliRunner

from datacomp import cli, uids
from datacomp.artifacts import pool as pools
from datacomp.declared import asset
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError
from datacomp.pool import disk

PAGE = (Path(__file__).parent.parent / "docs" / "from-datacomp.md").read_text()
BLOCKS = [block.strip().splitlines() for block in re.findall(r"(?:^    .*\n)+", PAGE, re.MULTILINE)]
FILTERS = [tuple(map(str.strip, block)) for block in BLOCKS if "baselines.py" in block[0]]
GOLDENS = {
    "no_filter": None,
    "basic_filter": "basic_filter",
    "laion": "laion2b",
    "text_based": "text_based",
    "image_based": "image_based",
    "both": "intersect_l14_0.3",
}


def run(line, folder):
    """Run a command of the page with its paths in a folder."""
    found = CliRunner().invoke(cli.app, shlex.split(line.replace("path/to", str(folder)))[1:], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture
def published_assets(monkeypatch):
    """The centroids and features of the goldens in the place of the published ones."""
    files = {"small_centroids": GOLDEN / "centroids.pt"} | {f"in1k_clip_vit_l14_{part}": GOLDEN / "published" / f"targets_{part}.pt" for part in range(5)}
    real = asset.locate
    monkeypatch.setattr(asset, "locate", lambda found: files.get(found.name) or real(found))


@pytest.mark.usefixtures("same_models", "published_assets")
@pytest.mark.parametrize(("old", "new"), FILTERS, ids=[Path(new.split()[-1]).stem for _, new in FILTERS])
def test_an_old_filter_command_gives_the_list_of_the_new_one(old, new, tmp_path):
    shutil.copytree(GOLDEN / "strict", tmp_path / "pool" / "metadata")
    out = Path(shlex.split(new.replace("path/to", str(tmp_path)))[-1])
    run(old.removeprefix("python ").replace("baselines.py", "datacomp filter", 1), tmp_path)
    before = out.read_bytes()
    out.unlink()
    run(new, tmp_path)
    assert out.read_bytes() == before
    if golden := GOLDENS.get(out.stem):
        assert uids.text(np.load(out)) == uids.text(np.load(GOLDEN / "published" / f"{golden}.npy"))


def test_every_published_filter_is_on_the_page():
    assert {Path(new.split()[-1]).stem for _, new in FILTERS} >= set(GOLDENS)
    assert len(FILTERS) == 8


def commands(word):
    """The new commands of a section of the page."""
    section = PAGE.split(f"## {word}")[1].split("\n## ")[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    datacomp")]


def test_the_pool_commands_bring_a_pool(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "free", lambda _: 1 << 60)
    pictures, bare = commands("Getting a pool")
    assert "450.0 GB" in run(f"{pictures} --dry-run", tmp_path)
    with web.hub({"part_0/a.parquet": parquet(0, 20)}, "mlfoundations/datacomp_1b") as server:
        web.point_at(server.address, monkeypatch)
        run(bare, tmp_path)
    assert pools.read(tmp_path / "pool").record.samples == 20


def test_the_test_sets_command_brings_test_sets(tmp_path, monkeypatch):
    suite = evaluation_sets.small(suites.load("datacomp"), {"cifar10": evaluation_sets.KINDS["cifar10"]})
    monkeypatch.setattr(suites, "load", lambda name: suite)
    published = evaluation_sets.make(tmp_path / "published", suite) / suite.tasks[0].folder
    held = {path.relative_to(published).as_posix(): path.read_bytes() for path in published.rglob("*") if path.is_file()}
    with web.hub(held, f"djghosh/{published.name}") as server:
        web.point_at(server.address, monkeypatch)
        assert "1 test sets" in run(*commands("Getting the test sets"), tmp_path)
    assert (tmp_path / "evalsets" / published.name / "test" / "0.tar").is_file()


@pytest.mark.slow
def test_a_list_of_one_s_own_is_trained_on_and_evaluated(small_pool, tmp_path):
    (tmp_path / "pool").symlink_to(small_pool.path)
    (tmp_path / "uids.txt").write_text("\n".join(uids.text(pools.all_uids(small_pool)[::2])))
    lines = [*commands("A list of your own"), *commands("Training and evaluation")]
    assert [line.split()[1] for line in lines] == ["subset", "subset", "reshard", "train", "evaluate"]
    for line in lines:
        run(line, tmp_path)
    assert (tmp_path / "run" / "evaluation" / "nano.json").is_file()


@pytest.mark.usefixtures("same_models")
def test_the_centroids_command_makes_centroids_as_the_published_script_was_called(small_pool, tmp_path):
    shutil.copytree(small_pool.path, tmp_path / "pool")
    old, new = next(tuple(map(str.strip, block)) for block in BLOCKS if "image_based_clustering.py" in block[0])
    made = []
    for line in (old.replace("python image_based_clustering.py", "datacomp cluster centroids").replace("path/to/pool/metadata", "path/to/pool"), new):
        run(line.replace("100000", "5"), tmp_path)
        made.append((tmp_path / "centroids.npy").read_bytes())
        (tmp_path / "centroids.npy").unlink()
    assert made[0] == made[1]


def test_every_command_of_the_page_is_run_here():
    ours = [line.strip() for block in BLOCKS for line in block if line.strip().startswith("datacomp")]
    assert len(ours) == len(FILTERS) + 2 + 2 + 1 + 3 + 1


@pytest.mark.parametrize("old", ["baselines.py", "download_upstream", "resharder.py", "aggregate_scores", "download_evalsets.py"])
def test_an_old_program_s_name_is_answered_with_the_new_command(old):
    with pytest.raises(DatacompError, match=r"is the name of a published program\. Repair: datacomp "):
        CliRunner().invoke(cli.app, [old, "--metadata_dir", "x"], catch_exceptions=False)
