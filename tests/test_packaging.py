"""The wheel holds the package and its three data rooms, and nothing else of the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from datacomp import rooms

ROOT = Path(__file__).parent.parent
LIST = (
    "from datacomp import rooms; from datacomp.declared import lock\n"
    "print([(room.name, folder, lock.available(room, folder)) for room in (rooms.tracks(), rooms.eval_suite())"
    " for folder in ('scales', 'rules', 'pools', 'baselines', 'dfn', 'lists', 'suites', 'tasks')])"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)], cwd=ROOT, check=True, capture_output=True)
    return next(out.glob("*.whl"))


def test_the_wheel_has_our_distribution_name(wheel):
    assert wheel.name.startswith("datacomp_bench-")


def test_the_wheel_puts_one_package_into_site_packages(wheel):
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"datacomp"}


def test_the_wheel_and_the_checkout_list_the_same_records(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    listed = [
        subprocess.run([sys.executable, "-P", "-c", LIST], cwd=tmp_path, env=env, check=True, capture_output=True, text=True).stdout
        for env in (environment, os.environ | {"PYTHONPATH": str(ROOT)})
    ]
    assert listed[0] == listed[1]
    assert (tmp_path / "datacomp" / "_rooms" / "tracks" / "LOCK.toml").read_bytes() == (rooms.tracks() / "LOCK.toml").read_bytes()


def test_a_package_without_its_rooms_says_so(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path, [name for name in archive.namelist() if "_rooms" not in name])
    done = subprocess.run(
        [sys.executable, "-P", "-c", LIST], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "the data rooms are not at" in done.stderr


def test_the_versions_that_were_tested_are_locked_with_their_digests():
    text = (ROOT / "requirements.lock").read_text()
    pinned = [line for line in text.splitlines() if line and line[0].isalnum()]
    assert len(pinned) > 50
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert "://" not in text
