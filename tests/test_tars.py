"""Tars are read by their headers alone; broken and hostile ones are refused, and nothing in them runs."""

import io
import pickle
import subprocess
import sys
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datacomp import tar_blocks, tars
from datacomp.errors import TarError

NAMES = st.lists(st.from_regex(r"[a-zA-Zé_.-][a-z0-9é_./-]{0,150}[a-z0-9]", fullmatch=True), min_size=1, max_size=6, unique=True)


def write(path, members, fmt=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=fmt) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("fmt", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT], ids=["pax", "gnu", "ustar"])
@given(names=NAMES, size=st.integers(0, 2000))
def test_members_are_those_that_tarfile_sees(tmp_path_factory, fmt, names, size):
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    if fmt == tarfile.USTAR_FORMAT:
        names = [name[:90] for name in names]
    write(path, [(name, bytes(size)) for name in names], fmt)
    with tarfile.open(path) as tar:
        theirs = [(info.name, info.offset_data, info.size) for info in tar if info.isreg()]
    assert [(member.name, member.offset, member.bytes) for member in tars.members(path)] == theirs


def test_samples_are_grouped_by_key_and_lower_case_extension(tmp_path):
    write(tmp_path / "a.tar", [("a/b.JPG", b"1"), ("a/b.seg.txt", b"2"), ("README", b""), ("a/b.txt", b"3"), ("c.jpg", b"4"), ("__x__/c.txt", b"5")])
    assert [(sample.key, sorted(sample.members)) for sample in tars.index(tmp_path / "a.tar")] == [("a/b", ["jpg", "seg.txt", "txt"]), ("c", ["jpg"])]


def test_a_sample_ends_with_its_key_and_where_an_extension_comes_again(tmp_path):
    write(tmp_path / "a.tar", [("a.jpg", b"1"), ("b.jpg", b"2"), ("a.txt", b"3"), ("a.TXT", b"4")])
    found = tars.index(tmp_path / "a.tar")
    assert [(sample.key, sorted(sample.members)) for sample in found] == [("a", ["jpg"]), ("b", ["jpg"]), ("a", ["txt"]), ("a", ["txt"])]
    assert [(sample.start, sample.end) for sample in found] == [(place * 1024, place * 1024 + 1024) for place in range(4)]


def test_the_same_members_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        with tars.TarWriter(tmp_path / name) as writer:
            writer.add("x.txt", b"text")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_written_tar_is_read_back(tmp_path):
    with tars.TarWriter(tmp_path / "a.tar") as writer:
        writer.add("x.txt", b"text")
        writer.add("x.jpg", b"")
    assert [data for _, data in tars.read_all(tmp_path / "a.tar")] == [{"txt": b"text", "jpg": b""}]


@pytest.mark.parametrize("keep", [100, 512, 1000, 1536, 2048])
def test_a_tar_that_is_cut_off_is_refused(tmp_path, keep):
    path = tmp_path / "a.tar"
    write(path, [("a.txt", bytes(700)), ("b.txt", bytes(10))])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TarError):
        tars.index(path)


def test_a_file_that_is_no_tar_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"this is not a tar" * 100)
    with pytest.raises(TarError, match="no tar"):
        tars.index(tmp_path / "a.tar")


def test_a_member_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    info = tarfile.TarInfo("a.txt")
    info.size = 1 << 60
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(TarError, match="claims"):
        tars.index(tmp_path / "a.tar")


def test_many_headers_at_once_are_those_made_one_by_one():
    names, sizes = ["a.jpg", f"{'0' * 32}-12.json", "x" * 96 + ".txt"], [0, 8**11 - 1, 79_123]
    assert tar_blocks.headers([name.encode() for name in names], sizes).tobytes() == b"".join(map(tar_blocks.header, names, sizes))


def test_a_pax_header_of_length_zero_ends(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 8
    (tmp_path / "a.tar").write_bytes(header.tobuf() + b"0 path=x".ljust(512, b"\0") + bytes(1024))
    with pytest.raises(TarError, match="PAX"):
        tars.index(tmp_path / "a.tar")


def test_links_devices_and_folders_are_not_seen(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"evil{kind.decode()}.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    assert tars.index(tmp_path / "a.tar") == []


def test_names_that_climb_are_labels_and_nothing_is_unpacked(tmp_path):
    write(tmp_path / "in.tar", [("../../escaped.txt", b"x"), ("/absolute.txt", b"y")])
    assert [data for _, data in tars.read_all(tmp_path / "in.tar")] == [{"txt": b"x"}, {"txt": b"y"}]
    assert not (tmp_path.parent / "escaped.txt").exists()


def test_a_tar_of_very_many_empty_members_is_refused_in_little_memory(tmp_path):
    block = tar_blocks.header("a", 0)
    with (tmp_path / "a.tar").open("wb") as file:
        for _ in range(tars.MAX_MEMBERS // 1024 + 1):
            file.write(block * 1024)
        file.write(tar_blocks.end_mark(0))
    code = f"""
import resource, sys
from pathlib import Path
from datacomp import tars
from datacomp.errors import TarError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    tars.index(Path({str(tmp_path / "a.tar")!r}))
except TarError as error:
    print(error.what)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    assert "has more than 1,048,576 members" in said[0]
    assert int(said[1]) < 100  # MiB; the tar has 513


def test_a_pickle_in_a_tar_is_bytes(tmp_path):
    class Evil:
        def __reduce__(self):
            return (type(tmp_path).touch, (tmp_path / "escaped",))

    write(tmp_path / "a.tar", [("a.pickle", pickle.dumps(Evil())), ("a.pyd", pickle.dumps(Evil())), ("a.jpg", b"")])
    ((_, data),) = tars.read_all(tmp_path / "a.tar")
    assert len(data) == 3
    assert not (tmp_path / "escaped").exists()
