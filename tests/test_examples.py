"""What stands in examples/ works for somebody who copies it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from datacomp import tables, uids
from datacomp.artifacts import subset as subsets

PLUGIN = Path(__file__).parent.parent / "examples" / "filter_plugin"


@pytest.mark.slow
def test_the_plug_in_package_installs_and_filters(small_pool, tmp_path):
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", tmp_path / "site", PLUGIN]
    subprocess.run(install, check=True, capture_output=True)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "datacomp", "filter", "domain_cap(samples=2) & clip_score(l14, 0.9)", "--pool", small_pool.path, "--out"]
    subprocess.run([*command, tmp_path / "list.npy"], check=True, env=environment)
    found = subsets.read(tmp_path / "list.npy")
    assert found.record.options == {"1.samples": 2, "2.score": "l14", "2.fraction": 0.9}
    assert set(found.record.assets) == {"blocked.txt"}
    frame = tables.read_parquet(small_pool.metadata("00000000"), ["uid", "url"])
    named = set(uids.text(found.uids))
    hosts = [re.sub(r"https://([^/]+)/.*", r"\1", url) for uid, url in frame.iter_rows() if uid in named]
    assert max(map(hosts.count, hosts)) == 2
    wrong = subprocess.run(
        [*command[:4], "domain_cap(samples='all')", *command[5:], tmp_path / "no.npy"], env=environment, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert "got 'all' as samples: Input should be a valid integer" in wrong.stderr


def test_the_plug_in_s_own_test_passes():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PLUGIN), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", PLUGIN / "tests"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
