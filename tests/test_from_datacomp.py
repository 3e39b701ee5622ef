"""Every command of docs/from-datacomp.md works, and an old filter command gives the list of the new one."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_parity import GOLDEN, same_models  # noqa: F401 - a fixture
from typer.testing import CliRunner

from datacomp import cli, uids
from datacomp.declared import asset

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
