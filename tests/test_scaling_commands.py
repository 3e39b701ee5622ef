"""Points are read strictly, and the commands say what was fitted, what to choose and from which budget on."""

import re

import pytest
from markup import Markup
from typer.testing import CliRunner

from datacomp.cli import app
from datacomp.errors import StageError
from datacomp.scaling import points
from datacomp.scaling.laws import Pool, Shared, error

SIZE = 12_800_000
POOLS = {"top": Pool(SIZE, -0.13, 3), "next": Pool(SIZE, -0.11, 4), "third": Pool(SIZE, -0.09, 5)}


def rows(column="error"):
    for name, pool in POOLS.items():
        for looks in (2, 3, 4, 8, 10):
            found = float(error(looks * SIZE, [pool], Shared(0.022, 0.1)))
            yield f"{name},{SIZE},{looks * SIZE},{found if column == 'error' else 1 - found:.12f}"


@pytest.fixture
def table(tmp_path):
    def written(*lines, header="pool,samples,seen,error"):
        path = tmp_path / "points.csv"
        path.write_text("\n".join([header, *(lines or rows())]) + "\n")
        return path

    return written


def called(*arguments):
    return CliRunner().invoke(app, ["scaling", *map(str, arguments)])


def test_accuracies_are_errors_the_other_way_round(table):
    by_error = points.read(table())
    by_accuracy = points.read(table(*rows("accuracy"), header="pool,samples,seen,accuracy"))
    assert [point.error for point in by_accuracy.points] == pytest.approx([point.error for point in by_error.points])
    assert list(by_error.samples) == ["top", "next", "third"]
    assert not by_error.is_known
    assert points.read(table(*(f"{row},0.002" for row in rows()), header="pool,samples,seen,error,deviation")).is_known


def test_fit_shows_parameters_and_what_a_left_out_budget_costs(table):
    done = called("fit", table())
    assert done.exit_code == 0, done.exception
    assert "0.022" in done.output
    assert "-0.13" in done.output
    assert "budget left out" in done.output


def test_choose_names_the_best_union_and_where_it_changes(table):
    done = called("choose", table(), "--budget", "13e6", "--up-to", "1e9")
    assert done.exit_code == 0, done.exception
    names = [line.split("  ")[0].strip() for line in done.output.splitlines() if line.startswith(("top", " top"))]
    assert names == ["top", "top to next", "top to third"]
    assert re.search(r"from [0-9,]+ samples seen on \(95 %: [0-9,]+ to [0-9,]+\), top to next instead of top", done.output)
    every = called("choose", table(), "--budget", "640e6", "--unions", "all").output
    assert sum("0." in line for line in every.splitlines()) == 7
    assert "top + third" in every


def test_predict_takes_pools_alone_or_together(table):
    done = called("predict", table(), "--budget", "640e6", "--union", "top,third", "--union", "next")
    assert done.exit_code == 0, done.exception
    assert [line.split("  ")[0].strip() for line in done.output.splitlines() if "0." in line] == ["top + third", "next"]
    assert f"{float(error(640e6, [POOLS['top'], POOLS['third']], Shared(0.022, 0.1))):.4f}" in done.output
    assert len([line for line in called("predict", table(), "--budget", "640e6").output.splitlines() if "0." in line]) == 4
    refused = called("predict", table(), "--budget", "640e6", "--union", "top,best")
    assert "there is no pool 'best'" in str(refused.exception)


def test_a_union_of_a_table_has_no_lists(table, tmp_path):
    refused = called("choose", table(), "--budget", "640e6", "--out", tmp_path / "list.npy")
    assert "has no lists to join" in str(refused.exception)
    assert not (tmp_path / "list.npy").exists()


def test_another_kind_of_unions_is_refused(table):
    found = called("choose", table(), "--budget", "1e9", "--unions", "best")
    assert isinstance(found.exception, StageError)
    assert "score, utility, all" in str(found.exception)


def checks():
    union = [POOLS["top"], POOLS["next"]]
    for looks in (2, 20):
        yield f"top,{SIZE},{looks * SIZE},{float(error(looks * SIZE, union[:1], Shared(0.022, 0.1))):.12f},end,check"
        yield f"top + next,{2 * SIZE},{looks * SIZE},{float(error(looks * SIZE, union, Shared(0.022, 0.1))):.12f},end,check"


def test_what_is_only_to_be_checked_is_compared_and_not_fitted(table):
    path = table(*(f"{row},mid,fit" for row in rows()), *checks(), header="pool,samples,seen,error,schedule,use")
    measured = points.read(path)
    assert (len(measured.points), len(measured.checks)) == (15, 4)
    assert all(point.is_mid for point in measured.points)
    done = called("fit", path)
    assert done.exit_code == 0, done.exception
    assert "15 of 15 points are of checkpoints in the middle of a schedule" in done.output
    assert "top to next" in done.output
    assert f"at {20 * SIZE:,} samples seen the laws choose top to next" in done.output


def test_a_report_is_one_page_with_its_pictures_beside_it(table, tmp_path):
    path = table(*(f"{row},end,fit" for row in rows()), *checks(), header="pool,samples,seen,error,schedule,use")
    done = called("report", path, "--out", tmp_path / "out" / "page.html", "--pictures", "--budgets", "64e6,640e6")
    assert done.exit_code == 0, done.exception
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"page.html"} | {f"{key}.{kind}" for key in ("curves", "unions", "front", "kept") for kind in ("svg", "png")}
    assert "at 640M samples seen, beyond what was measured" in Markup((tmp_path / "out" / "page.html").read_text()).text


@pytest.mark.parametrize(
    ("lines", "header", "why"),
    [
        (["a,1,2,0.5"], "pool,samples,error,accuracy", "has no column seen"),
        (["a,1,2"], "pool,samples,seen", "one of the columns error and accuracy"),
        (["a,1,2,0.5,0.5"], "pool,samples,seen,error,accuracy", "one of the columns error and accuracy"),
        (["a,1,2,1.5"], "pool,samples,seen,error", "line 2: error is '1.5'"),
        (["a,1,2,0.5", "a,1,-3,0.5"], "pool,samples,seen,error", "line 3: seen is '-3'"),
        (["a,1,2,nan"], "pool,samples,seen,error", "error is 'nan'"),
        (["a,1,2"], "pool,samples,seen,error", "error is ''"),
        ([",1,2,0.5"], "pool,samples,seen,error", "line 2 names no pool"),
        (["a,1,2,0.5", "a,2,2,0.5"], "pool,samples,seen,error", "a line before it 1"),
        (["a,1,2,0.5,late"], "pool,samples,seen,error,schedule", "line 2: schedule is 'late'"),
        (['"a,1,2,0.5'], "pool,samples,seen,error", "no table in text"),
    ],
)
def test_a_table_that_is_none_is_named_by_line(table, lines, header, why):
    with pytest.raises(StageError) as refused:
        points.read(table(*lines, header=header))
    assert why in str(refused.value)


def test_a_missing_or_binary_file_is_no_table(tmp_path):
    with pytest.raises(StageError, match="cannot be read"):
        points.read(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StageError, match="no table in text"):
        points.read(tmp_path / "binary.csv")
