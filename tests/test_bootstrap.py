"""The first step on a new machine says what is missing, and makes the environment only when it must."""

import subprocess
import sys
from pathlib import Path

import pytest

from datacomp import bootstrap

ROOT = Path(__file__).parent.parent


@pytest.fixture
def clone(tmp_path):
    for name in (bootstrap.LOCK, "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


def test_this_machine_lacks_nothing_but_perhaps_room(clone):
    assert [problem for problem in bootstrap.problems(str(clone)) if "GB are free" not in problem] == []


def test_an_old_python_is_named(clone, monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 1))
    assert any("Python 3.9 came, 3.11 or newer is needed" in problem for problem in bootstrap.problems(str(clone)))


def test_a_full_disk_and_little_memory_are_named(clone, monkeypatch):
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 3e9}))
    monkeypatch.setattr(bootstrap, "memory_gb", lambda: 2.0)
    found = " ".join(bootstrap.problems(str(clone)))
    assert "3 GB are free" in found
    assert "2.0 GB of memory" in found


def test_what_is_missing_ends_in_one_line_and_a_non_zero_exit(clone):
    script = str(ROOT / "datacomp" / "bootstrap.py")
    code = f"import runpy, sys; sys.version_info = (3, 8, 0); runpy.run_path({script!r}, run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("datacomp: Python 3.8 came")
    assert "Traceback" not in done.stderr


def test_a_complete_environment_is_left_alone(clone, monkeypatch):
    (clone / bootstrap.ENVIRONMENT).mkdir()
    (clone / bootstrap.ENVIRONMENT / "complete").write_text(bootstrap.stamp(str(clone)))
    monkeypatch.setattr(bootstrap.subprocess, "run", lambda *arguments, **named: pytest.fail("something was installed"))
    bootstrap.make(str(clone))


def test_another_lock_asks_for_another_environment(clone):
    (clone / bootstrap.ENVIRONMENT).mkdir()
    (clone / bootstrap.ENVIRONMENT / "complete").write_text(bootstrap.stamp(str(clone)))
    assert bootstrap.is_made(str(clone))
    (clone / bootstrap.LOCK).write_text("other==1.0")
    assert not bootstrap.is_made(str(clone))


def test_a_failed_installation_is_not_taken_for_a_complete_one(clone):
    with pytest.raises(SystemExit):
        bootstrap.watched([sys.executable, "-c", "raise SystemExit(3)"], str(clone))
    assert not bootstrap.is_made(str(clone))
    assert not (clone / "downloads").exists()
