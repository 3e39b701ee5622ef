"""Filters compared: runs that are not repeated, stale rows that are, what is left after a kill, and several runs at once."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Barrier, Lock

import pytest

from datacomp.artifacts import pool as pools
from datacomp.declared.suite import Suite
from datacomp.errors import PoolError, RecordError, StageError
from datacomp.filters.apply import apply
from datacomp.launch import local
from datacomp.pipelines import compare, compared
from datacomp.pipelines.compare import Arm, Comparison


def filtered(pool, fraction, path):
    return apply("random", {"fraction": fraction}, pool, path, workers=1)


@pytest.fixture
def asked(small_pool, tiny_scale, small_suite, tmp_path) -> Comparison:
    """Two arms and two seeds, one run at a time."""
    suite, data = small_suite
    arms = (Arm("half", partial(filtered, small_pool, 0.5)), Arm("best 20 %", partial(filtered, small_pool, 0.2), "a control"))
    return Comparison(tmp_path / "out", tmp_path / "record" / "runs.json", tiny_scale, suite, small_pool.path, arms, (0, 1), data, at_once=1)


@pytest.fixture(scope="session")
def measured(small_pool, tiny_scale, small_suite, tmp_path_factory):
    """What one run says, as the process that does it hands it back."""
    suite, data = small_suite
    folder = tmp_path_factory.mktemp("measured")
    arms = (Arm("a third", partial(filtered, small_pool, 0.3)),)
    whole = Comparison(folder / "out", folder / "runs.json", tiny_scale, suite, small_pool.path, arms, (0,), data, at_once=1)
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "apart", lambda function, task: told.append(function(task)) or told[0])
        (row,) = whole.run()
    return row, *told[0]


class Chains:
    """Stands in for the work: tells which runs were asked for and answers each with what one run said."""

    def __init__(self, patch, measured):
        _, self.record, self.results = measured
        self.ran, self.sharded = [], []
        patch.setattr(compare.Chain, "reshard", self.reshard)
        patch.setattr(local, "apart", self.apart)

    @property
    def reshard(self):
        def reshard(chain):
            if not (chain.out / "shards").is_dir():
                self.sharded.append(chain.about.method)
                (chain.out / "shards").mkdir(parents=True)

        return reshard

    def apart(self, _function, task):
        chain, seed = task
        assert (chain.out / "shards").is_dir()
        assert (chain.threads, chain.workers) == (1, 0)
        (chain.out / f"seed{seed}").mkdir()
        self.ran.append((chain.about.method, seed))
        return self.record, self.results


@pytest.fixture
def chains(monkeypatch, measured):
    return Chains(monkeypatch, measured)


def test_a_row_says_what_it_is_a_function_of_and_what_was_measured(measured, tiny_scale, small_suite, small_pool):
    row, trained, found = measured
    suite, _ = small_suite
    assert row.key == ("smoke", "a third", 0)
    assert (row.samples, row.distinct_samples) == (180, 180)
    assert row.about.recipe_sha256 == tiny_scale.digest()
    assert (row.about.suite_sha256, row.about.suite_version) == (suite.digest(), suite.spec.version)
    assert (row.about.pool_uids_sha256, row.about.pool_content_sha256) == (small_pool.record.uids_sha256, small_pool.record.content_sha256)
    assert row.about.list_sha256 == trained.inputs.sources[0].subset.uids_sha256
    assert [(task.task, task.samples, task.metrics["acc1"]) for task in row.tasks] == [(task.task, task.samples, task.metrics["acc1"]) for task in found.tasks]
    assert row.code == trained.code
    assert row.weights_sha256 == found.weights_sha256


def test_all_arms_of_a_seed_come_before_the_next_seed_and_shards_are_shared_and_removed(asked, chains):
    rows = asked.run()
    assert chains.ran == [("half", 0), ("best 20 %", 0), ("half", 1), ("best 20 %", 1)]
    assert chains.sharded == ["half", "best 20 %"]
    assert [(row.arm, row.seed, row.note) for row in rows] == [("half", 0, ""), ("best 20 %", 0, "a control"), ("half", 1, ""), ("best 20 %", 1, "a control")]
    assert list((asked.folder / "runs").iterdir()) == []
    assert len(asked.record.read_text().splitlines()) == 2 + len(rows)


def test_what_the_record_holds_is_not_run_again_without_any_run_folder(asked, chains, tmp_path):
    rows = asked.run()
    before = asked.record.read_bytes()
    chains.ran.clear()
    chains.sharded.clear()
    assert replace(asked, out=tmp_path / "elsewhere").run() == rows
    assert (chains.ran, chains.sharded) == ([], [])
    assert asked.record.read_bytes() == before


@pytest.mark.parametrize("field", ["recipe_sha256", "suite_sha256", "pool_uids_sha256", "pool_content_sha256", "list_sha256"])
def test_a_row_of_something_else_is_measured_again_and_replaced(asked, chains, field):
    rows = asked.run()
    stale = rows[1].model_copy(update={"about": rows[1].about.model_copy(update={field: "0" * 64})})
    compared.add(asked.record, stale)
    chains.ran.clear()
    assert asked.run() == rows
    assert chains.ran == [("best 20 %", 0)]


def test_another_list_of_an_arm_is_another_run(asked, chains, small_pool):
    asked.run()
    chains.ran.clear()
    changed = replace(asked, out=asked.out.with_name("other"), arms=(Arm("half", partial(filtered, small_pool, 0.4)), asked.arms[1]))
    assert [row.samples for row in changed.run()] == [240, 120, 240, 120]
    assert chains.ran == [("half", 0), ("half", 1)]


def test_weights_are_kept_for_those_who_ask(asked, chains):
    replace(asked, keeps_weights=True).run()
    assert sorted(path.name for path in (asked.folder / "runs").glob("*/*")) == ["seed0", "seed0", "seed1", "seed1"]


def test_two_runs_go_on_at_once(asked, chains, monkeypatch):
    together, answer, lock = Barrier(2, timeout=60), chains.apart, Lock()

    def apart(function, task):
        together.wait()  # passed by two or by none
        with lock:
            return answer(function, task)

    monkeypatch.setattr(local, "apart", apart)
    assert len(replace(asked, at_once=2).run()) == 4
    assert sorted(chains.ran) == [("best 20 %", 0), ("best 20 %", 1), ("half", 0), ("half", 1)]


def test_a_failure_does_not_keep_the_others_waiting_and_is_told_in_the_end(asked, chains):
    def broken(_path):
        raise PoolError("the pool is broken")

    failing = replace(asked, arms=(Arm("broken", broken), *asked.arms))
    with pytest.raises(StageError, match=r"2 runs failed, the first is smoke: broken, seed 0: the pool is broken"):
        failing.run()
    assert len(compared.read(asked.record)) == 4
    chains.ran.clear()
    failing = replace(failing, arms=(Arm("broken", asked.arms[0].make), *asked.arms))
    assert len(failing.run()) == 6
    assert chains.ran == [("broken", 0), ("broken", 1)]


def test_a_killed_run_goes_on_in_the_middle_of_its_training(asked, monkeypatch):
    from datacomp.train.loop import Trainer

    one = replace(asked, arms=asked.arms[:1], seeds=(0,))
    monkeypatch.setattr(local, "apart", lambda function, task: function(task))
    real, taken = Trainer.step, []

    def step(self, batch):
        if len(taken) == 5:
            raise KeyboardInterrupt
        taken.append(batch.step)
        return real(self, batch)

    monkeypatch.setattr(Trainer, "step", step)
    with pytest.raises(KeyboardInterrupt):
        one.run()
    assert compared.read(one.record) == {}
    again = []
    monkeypatch.setattr(Trainer, "step", lambda self, batch: again.append(batch.step) or real(self, batch))
    (row,) = one.run()
    assert (taken, again) == ([0, 1, 2, 3, 4], [4, 5])
    monkeypatch.setattr(Trainer, "step", real)
    assert replace(one, out=asked.out.with_name("undisturbed"), record=asked.record.with_name("other.json")).run() == [row]


def test_a_plan_tells_what_is_to_do_and_makes_nothing(asked, chains):
    missing = replace(asked, pool=asked.pool.with_name("none"))
    assert [run.is_measured for run in missing.plan()] == [False] * 4
    assert asked.told().startswith("smoke: 4 of 4 runs to do, 1 at once, about 1 min\n  to do     half, seed 0\n")
    assert not asked.out.exists()
    asked.run()
    assert [run.is_measured for run in asked.plan()] == [True] * 4
    assert [run.is_measured for run in missing.plan()] == [True] * 4
    assert "0 of 4 runs to do" in asked.told()
    assert [run.is_measured for run in replace(asked, seeds=(0, 1, 2)).plan()] == [True] * 4 + [False] * 2
    other = asked.suite.spec.model_copy(update={"version": 99})
    assert [run.is_measured for run in replace(asked, suite=Suite(spec=other, tasks=asked.suite.tasks)).plan()] == [False] * 4


def test_a_pool_is_made_where_runs_are_left_and_only_there(asked, chains, tmp_path):
    made = tmp_path / "made" / "pool"
    arms = tuple(Arm(arm.name, lambda path: filtered(pools.read(made), 0.5, path)) for arm in asked.arms)
    there = replace(asked, pool=made, arms=arms)
    there.complete(samples=40)
    assert len(pools.all_uids(pools.read(made))) == 40
    assert there.is_measured
    none = replace(there, pool=tmp_path / "none" / "pool")
    none.complete(samples=40)
    assert not none.pool.exists()


def test_arms_whose_folders_would_be_one_are_refused(asked):
    with pytest.raises(StageError, match="two arms are called best-20"):
        replace(asked, arms=(asked.arms[1], Arm("Best, 20", asked.arms[0].make))).run()


def test_rows_stand_in_one_order_and_each_once(measured, tmp_path):
    row = measured[0]
    rows = [row.model_copy(update={"seed": seed}) for seed in (2, 10, 0)]
    assert compared.text(rows) == compared.text(rows[::-1])
    path = tmp_path / "runs.json"
    for each in rows:
        compared.add(path, each)
    assert path.read_text() == compared.text(rows)
    assert [key.seed for key in compared.read(path)] == [0, 2, 10]
    path.write_text(compared.text([row, row]))
    with pytest.raises(RecordError, match="two rows of one scale, arm and seed"):
        compared.read(path)
    path.write_text("[")
    with pytest.raises(RecordError, match="is no JSON"):
        compared.read(path)
    path.write_text("{}")
    with pytest.raises(RecordError, match="no list of rows"):
        compared.read(path)


def test_a_process_of_its_own_computes_with_one_thread_and_its_death_is_told():
    assert local.apart(os.getenv, "OMP_NUM_THREADS") == "1"
    with pytest.raises(StageError, match="a process was killed"):
        local.apart(os._exit, 3)


def test_names_become_files(tmp_path):
    assert Arm("CLIP score l14 30 %", Path).folder == "clip-score-l14-30"
