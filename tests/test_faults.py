"""Resharding survives what may happen to it."""

import shutil

import faults
import pytest

from datacomp.artifacts import shards as shard_sets
from datacomp.errors import StageError
from datacomp.filters.apply import apply

WRITES = "import pathlib, sys, time; out = pathlib.Path(sys.argv[1]); out.mkdir(exist_ok=True); "
CARELESS = {
    "looks complete and is not": "(out / 'record').write_text('done'); time.sleep(0.1); (out / 'result').write_text('all')",
    "has its name is not whole": "file = (out / 'result').open('w'); file.write('all'); time.sleep(0.1); file.write('of it'); file.close()",
    "something else|not whole": "mark = out / 'begun'; again = str(mark.exists()); mark.touch(); time.sleep(0.1); (out / 'result').write_text(again)",
    "does not end well": "there = (out / 'begun').exists(); (out / 'begun').touch(); time.sleep(0.1); sys.exit(there)",
    "looked at": "time.sleep(0.1)",
}


@pytest.mark.parametrize(("says", "does"), CARELESS.items())
def test_a_stage_that_does_not_survive_kills_is_found(tmp_path, says, does):
    def check(out):
        assert says != "looked at", says

    with pytest.raises(AssertionError, match=says):
        faults.kill_often(["-c", WRITES + does, tmp_path / "out"], tmp_path / "out", "record", kills=50, start=faults.start_program, check=check)


def test_a_stage_that_survives_kills_passes(tmp_path):
    does = "time.sleep(0.1); (out / 'part').write_text('all'); (out / 'part').rename(out / 'result')"
    assert faults.kill_often(["-c", WRITES + does, tmp_path / "out"], tmp_path / "out", "record", kills=5, start=faults.start_program) >= 5


@pytest.fixture
def reshard_arguments(small_pool, tmp_path):
    """A resharding into more than one shard."""
    shutil.copytree(small_pool.path, tmp_path / "pool")
    apply("no_filter", {}, small_pool, tmp_path / "list.npy")
    out = tmp_path / "out"
    return ["reshard", "--pool", tmp_path / "pool", "--subset", tmp_path / "list.npy", "--out", out, "--scale", "smoke"], out


def test_a_resharding_that_is_killed_ten_times_gives_the_same_bytes(reshard_arguments):
    arguments, out = reshard_arguments
    assert faults.kill_often(arguments, out, shard_sets.RECORD, kills=10) >= 10


@pytest.mark.slow
def test_a_resharding_that_is_killed_fifty_times_gives_the_same_bytes(reshard_arguments):
    arguments, out = reshard_arguments
    assert faults.kill_often(arguments, out, shard_sets.RECORD, kills=50, seed=1) >= 50


def test_a_resharding_onto_a_full_disk_says_so_and_looks_unfinished(reshard_arguments, tmp_path):
    arguments, out = reshard_arguments
    with faults.small_disk(tmp_path / "small") as disk:
        place = [disk / "out" if argument == out else argument for argument in arguments]
        (disk / "filler").write_bytes(bytes(faults.SMALL_DISK_BYTES * 3 // 4))
        code, said = faults.run(place)
        assert code == 1
        assert "No space left" in said
        assert "Traceback" not in said
        with pytest.raises(StageError, match="no finished shards"):
            shard_sets.read(disk / "out")
    assert faults.run(arguments)[0] == 0


def test_a_pool_whose_tars_vanished_is_an_error(reshard_arguments, tmp_path):
    arguments, out = reshard_arguments
    (tmp_path / "pool" / "shards" / "00000000.tar").unlink()
    code, said = faults.run(arguments)
    assert code == 1
    assert "holds no tar" in said
    assert not (out / shard_sets.RECORD).exists()
