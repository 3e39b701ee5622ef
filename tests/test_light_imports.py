"""`datacomp --help` answers at once: it loads nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "open_clip", "timm", "pandas", "polars", "numpy", "PIL", "fasttext", "huggingface_hub", "jinja2", "faiss"}


def loaded(code: str) -> set[str]:
    """The modules that are loaded after some code ran in a fresh interpreter."""
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["pool", "make", "--help"],
        ["run", "--help"],
        ["cluster", "make", "--help"],
        ["score", "--help"],
        ["submit", "push", "--help"],
    ],
    ids=" ".join,
)
def test_help_loads_nothing_heavy(arguments):
    code = f"from datacomp.cli import app\ntry:\n    app({arguments!r})\nexcept SystemExit:\n    pass"
    assert loaded(code) & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "--run", "nowhere"],
        ["export", "--run", "nowhere", "--out", "x"],
        ["score", "--pool", "nowhere", "--model", "ViT-B-32", "--out", "x"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_folder_that_is_not_there_is_told_before_torch_is_loaded(arguments):
    code = (
        "from datacomp.cli import app\nfrom datacomp.errors import DatacompError\n"
        f"try:\n    app({arguments!r}, standalone_mode=False)\nexcept DatacompError as error:\n    assert 'nowhere' in str(error)\n"
        "else:\n    raise AssertionError('no error')"
    )
    assert loaded(code) & {"torch", "open_clip"} == set()


def test_the_records_of_the_rooms_load_no_torch():
    code = "from datacomp.declared import asset, baseline, pool, scale, suite, track\nscale.load('nano'); suite.load('nano')"
    assert loaded(code) & {"torch", "open_clip", "pandas", "polars"} == set()


def test_reading_an_entry_loads_no_torch():
    assert loaded("from datacomp.board import rank, verify") & {"torch", "open_clip"} == set()


def test_a_heavy_import_is_found():
    assert loaded("import datacomp.train.loop") & HEAVY != set()
