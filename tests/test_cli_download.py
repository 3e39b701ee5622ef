"""Getting a pool from the command line: it says what it takes, and every newcomer's mistake ends in one line that says what to do."""

import polars as pl
import pytest
import web
from test_cli import assert_one_clear_line, datacomp
from test_download import FAKE, own_tables
from test_hub import parquet
from typer.testing import CliRunner

from datacomp.cli import app
from datacomp.pool import disk, isolated


def invoked(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_a_pool_comes_from_the_hub_that_hf_endpoint_names(monkeypatch, tmp_path):
    with web.hub({"aa.parquet": parquet(0, 30), "bb.parquet": parquet(30, 20)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        done = datacomp("pool", "download", "small", "--out", tmp_path / "pool", "--samples", 40, "--metadata-only")
    assert done.returncode == 0, done.stderr
    assert "40 samples" in done.stdout
    assert "a partial pool" in done.stdout
    assert f"its revision {server.commit[:12]} is unpinned; pin it with: datacomp pool pin" in done.stdout
    assert (tmp_path / "pool" / "metadata" / "bb.parquet").is_file()


def test_a_dry_run_says_what_it_takes_and_does_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(disk, "free", lambda folder: 10**13)
    done = invoked("pool", "download", "medium", "--out", tmp_path / "pool", "--npz", "--dry-run", "--option", "min_image_size=32")
    assert done.exit_code == 0, done.output
    assert "pool commonpool_medium, 128,000,000 samples, from mlfoundations/datacomp_medium, revision unpinned" in done.output
    assert "disk: about 5.3 TB (metadata 30.0 GB, npz 750.0 GB, pictures 4.5 TB); free: 10.0 TB" in done.output
    assert "pictures: faces blurred; left out where X-Robots-Tag says noai, noimageai, noindex, noimageindex" in done.output
    assert list(tmp_path.iterdir()) == []
    done = invoked("pool", "download", "small", "--out", tmp_path / "pool", "--dry-run", "--option", "disallowed_header_directives=[]")
    assert "pictures: faces blurred; X-Robots-Tag is not looked at" in done.output


def test_options_after_two_dashes_are_img2dataset_s(monkeypatch, tmp_path):
    pl.DataFrame({"url": ["a"], "text": ["b"]}).write_parquet(tmp_path / "a.parquet")
    done = invoked("pool", "download", "--metadata", tmp_path, "--out", tmp_path / "pool", "--dry-run", "--", "image_size=256", "nonsense=1")
    assert "'nonsense=1' is no option of img2dataset" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pool", "download", "smal"], "no pool is called 'smal'. Allowed: small, medium, large, xlarge, datacomp_1b; or --metadata"),
        (["pool", "download", "nano"], "Repair: datacomp pool make nano"),
        (["pool", "download"], "neither a scale nor --metadata came"),
        (["pool", "download", "small", "--metadata", "."], "both small and --metadata came"),
        (["pool", "download", "small", "--samples", "99999999"], "Allowed: 1 to 12,800,000"),
        (["pool", "download", "small", "--samples", "9", "--part", "x"], "Allowed: I/N"),
        (["pool", "download", "--metadata", "."], r"holds no \*\.parquet"),
    ],
    ids=" ".join,
)
def test_a_mistake_ends_in_one_line(arguments, expected, tmp_path):
    done = datacomp(*arguments, "--out", "pool", cwd=tmp_path)
    assert_one_clear_line(done, expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["download_upstream.py", "--scale", "small", "--data_dir", "x"], "Repair: datacomp pool download SCALE --out DIR"),
        (["pool", "download_upstream"], "Repair: datacomp pool download SCALE --out DIR"),
        (["resharder"], "Repair: datacomp reshard"),
        (["baselines"], "Repair: datacomp filter"),
    ],
    ids=" ".join,
)
def test_an_old_name_is_answered_with_the_new_one(arguments, expected):
    done = invoked(*arguments)
    assert expected in str(done.exception)


def test_checking_prints_a_line_for_each_finding_and_fails_if_something_is_broken(small_pool, tmp_path):
    assert invoked("pool", "check", small_pool.path, "--quick").exit_code == 0
    (tmp_path / "metadata").mkdir()
    pl.DataFrame({"uid": ["0" * 32]}).write_parquet(tmp_path / "metadata" / "a.parquet")
    done = invoked("pool", "check", tmp_path)
    assert done.exit_code == 1
    assert "broken: no column text in the metadata\n" in done.stdout


def test_the_audit_is_shown_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(isolated, "command", lambda: FAKE)
    urls = own_tables(tmp_path / "urls", ["ok", "gone", "away", "away"])
    done = invoked("pool", "download", "--metadata", urls, "--out", tmp_path / "pool", "--passes", 1)
    assert done.exit_code == 0, done.output
    assert "pool urls, 4 samples, from your own tables" in done.stdout
    assert [line.split()[:-1] for line in done.stdout.splitlines() if "%" in line] == [["dns", "2"], ["http", "404", "1"], ["success", "1"]]
    assert "effective pool                1 uids, sha256 " in done.stdout
    assert "many names could not be resolved: use fewer --threads" in done.stdout


def test_a_part_says_what_is_left_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(isolated, "command", lambda: FAKE)
    urls = own_tables(tmp_path / "urls", ["ok"])
    done = invoked("pool", "download", "--metadata", urls, "--out", tmp_path / "pool", "--part", "1/2")
    assert "part 1/2 is done; when every part is, start the same command without --part to finish the pool" in done.stdout
