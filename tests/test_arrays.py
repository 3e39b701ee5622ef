"""Arrays that others publish are read, and what pretends to be one runs nothing."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch

from datacomp.errors import StageError
from datacomp.network import arrays

FEATURES = np.arange(6, dtype=np.float32).reshape(2, 3)


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def torch_file(path, content):
    """What torch.save makes of something that is no tensor."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=4))
        archive.writestr("archive/version", "3")


def test_every_form_gives_the_same_array(tmp_path):
    np.save(tmp_path / "a.npy", FEATURES)
    torch_file(tmp_path / "b.pt", FEATURES)
    torch.save(torch.from_numpy(FEATURES), tmp_path / "c.pt")
    torch.save({"image_features": torch.from_numpy(FEATURES), "other": torch.zeros(3)}, tmp_path / "d.pt")
    for name in ("a.npy", "b.pt", "c.pt", "d.pt"):
        assert np.array_equal(arrays.read(tmp_path / name), FEATURES)


def test_a_pickle_that_runs_something_is_refused_and_runs_nothing(tmp_path):
    for name, content in {
        "a.pt": Evil(tmp_path / "ran"),
        "b.pt": [FEATURES, Evil(tmp_path / "ran")],
        "c.pt": {"image_features": Evil(tmp_path / "ran")},
    }.items():
        torch_file(tmp_path / name, content)
        with pytest.raises(StageError, match=r"it names io\.open, which is no part of an array"):
            arrays.read(tmp_path / name)
    torch.save({"image_features": torch.zeros(2, 2), "more": Evil(tmp_path / "ran")}, tmp_path / "d.pt")
    np.save(tmp_path / "e.npy", np.array([Evil(tmp_path / "ran")], object), allow_pickle=True)
    for name in ("d.pt", "e.npy"):
        with pytest.raises(StageError, match="cannot be read as an array"):
            arrays.read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [np.arange(3.0), np.zeros((2, 2), int), "text", {"features": FEATURES}, None])
def test_what_is_no_array_of_features_is_refused(content, tmp_path):
    torch_file(tmp_path / "a.pt", content)
    with pytest.raises(StageError, match="holds no array of features"):
        arrays.read(tmp_path / "a.pt")


def test_what_is_cut_off_or_missing_is_named(tmp_path):
    whole = io.BytesIO()
    torch.save(torch.from_numpy(FEATURES), whole)
    (tmp_path / "a.pt").write_bytes(whole.getvalue()[:-40])
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY\x01\x00")
    for name, message in {"a.pt": "cannot be read as an array", "b.npy": "cannot be read as an array", "c.npy": "there is no array at"}.items():
        with pytest.raises(StageError, match=message):
            arrays.read(tmp_path / name)
