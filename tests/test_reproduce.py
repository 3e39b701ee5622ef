"""Claims are found by name, measured by their studies, judged anew from records, and told in one document."""

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from datacomp.cli import app
from datacomp.errors import StageError
from datacomp.pipelines import reproduce
from datacomp.pipelines.claims import MISSING, PAPERS, Claim, Measurement, Settings, Study, Verdict, Where, needed

DOCS = Path(__file__).parent.parent / "docs"


def judged(rows):
    return Verdict(sum(map(int, rows)) > 2, f"the sum is {sum(map(int, rows))}") if len(rows) > 1 else MISSING


def run(where, settings, arms):
    where.record.parent.mkdir(parents=True, exist_ok=True)
    where.record.write_text("\n".join(str(len(arm) * len(settings.seeds)) for arm in arms))


def read(record):
    return record.read_text().split() if record.is_file() else []


CLAIMS = (Claim("counts", "qqt", "section 1", "Counts are high", judged, ("a", "bb")), Claim("all", "dfn", "section 2", "All are", judged))
STUDY = Study(
    name="counting",
    says="counts",
    command="count",
    minutes={"a": 5.0, "bb": 15.0, "ccc": 10.0},
    claims=CLAIMS,
    plan=lambda _where, _settings, arms: [f"count {arm}" for arm in arms],
    run=run,
    read=read,
    table=lambda rows: f"| {' | '.join(rows)} |",
    seeds=lambda rows, arms: f"{len(rows)} of {len(arms)}",
)


@pytest.fixture
def studies(monkeypatch):
    monkeypatch.setattr(reproduce, "asked", lambda keys, _studies=None, real=reproduce.asked: real(keys, (STUDY,)))


def test_arms_are_those_that_the_claims_need():
    assert needed(STUDY, CLAIMS[:1]) == ("a", "bb")
    assert needed(STUDY, CLAIMS) == STUDY.arms
    assert STUDY.cost(("a", "bb")) == 20


def test_a_paper_means_all_of_its_claims_and_an_unknown_name_is_refused():
    assert [(study.name, [claim.key for claim in wanted]) for study, wanted in reproduce.asked(["qqt"], (STUDY,))] == [("counting", ["counts"])]
    with pytest.raises(StageError, match="there is no claim 'lower'"):
        reproduce.asked(["lower"], (STUDY,))


def test_every_claim_has_its_paper_and_a_key_of_its_own():
    everything = [claim for study in reproduce.STUDIES for claim in study.claims]
    assert len({claim.key for claim in everything}) == len(everything)
    assert {claim.paper for claim in everything} <= set(PAPERS)
    assert not {claim.key for claim in everything} & set(PAPERS)


def test_a_measurement_is_kept_with_its_minutes_which_add_up(tmp_path):
    where = Where(tmp_path / "out", STUDY.record(tmp_path))
    first = reproduce.take(STUDY, where, Settings(seeds=(0,)), ("a", "bb"), "counted")
    path = where.record.parent / reproduce.MEASURED
    assert Measurement.read(path) == first
    first.model_copy(update={"minutes": 12.0}).write(path)
    reproduce.take(STUDY, where, Settings(seeds=(0, 1)), command="counted")
    assert Measurement.read(path).minutes >= 12
    assert read(where.record) == ["2", "4", "6"]
    assert [one.verdict for one in reproduce.judged(STUDY, tmp_path)] == [Verdict(True, "the sum is 12")] * 2


@pytest.mark.parametrize("study", reproduce.STUDIES, ids=lambda study: study.name)
def test_what_a_record_holds_needs_no_pool_and_no_network_and_is_no_measurement(study, tmp_path):
    shutil.copytree(DOCS / study.name, tmp_path / study.name)
    measured = study.record(tmp_path).parent / reproduce.MEASURED
    measured.unlink(missing_ok=True)
    assert reproduce.take(study, Where(tmp_path / "out", study.record(tmp_path)), Settings(seeds=(0,))) is None
    assert not (tmp_path / "out").exists()
    assert not measured.exists()


def test_a_call_that_finds_all_there_leaves_the_measurement(tmp_path):
    where = Where(tmp_path / "out", STUDY.record(tmp_path))
    first = reproduce.take(STUDY, where, Settings(seeds=(0,)), ("a",), "counted")
    assert first is not None
    assert reproduce.take(STUDY, where, Settings(seeds=(0,)), ("a",), "counted again") == first


def test_the_document_says_what_holds_what_does_not_and_what_nobody_measured(tmp_path):
    empty = reproduce.pages(tmp_path, (STUDY,))[reproduce.PAGE]
    assert empty.count("| not measured |") == 2
    assert "`datacomp reproduce counts`: about 20 minutes with three seeds; measured with seeds 0 of 2 |" in empty
    reproduce.take(STUDY, Where(tmp_path / "out", STUDY.record(tmp_path)), Settings(seeds=(0,)), ("a", "a"), "counted")
    low = reproduce.pages(tmp_path, (STUDY,))[reproduce.PAGE]
    assert low.count("| it does not show | the sum is 2 |") == 2
    assert "`counted`; measured with seeds 2 of 2; scale nano; the study took" in low


def test_the_command_lists_plans_and_judges(studies, tmp_path):
    listed = CliRunner().invoke(app, ["reproduce", "--list"])
    assert all(claim.key in listed.output for study in reproduce.STUDIES for claim in study.claims), listed.exception
    planned = CliRunner().invoke(app, ["reproduce", "counts", "--out", str(tmp_path), "--dry-run"])
    assert "counting: counts; about 20 minutes on two cores\ncount a\ncount bb\n" in planned.output
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(app, ["reproduce", "counts", "--out", str(tmp_path), "--seed", "0", "--seed", "1"])
    assert "| 2 | 4 |" in done.output, done.exception
    assert "counts, QQT section 1: Counts are high: it shows. the sum is 6" in done.output
    assert "All are" not in done.output
    nothing = CliRunner().invoke(app, ["reproduce"])
    assert isinstance(nothing.exception, StageError)


def test_the_document_is_today_s():
    made = reproduce.pages(DOCS)
    assert {name: (DOCS / name).read_text(encoding="utf-8") for name in made} == made, "run: make docs"
