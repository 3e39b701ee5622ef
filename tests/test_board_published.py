"""Published results on the site: read strictly, shown with their sources, and never among the entries."""

import csv

import pytest
from markup import ATTACK, Markup

from datacomp import rooms
from datacomp.board import page, published
from datacomp.errors import RecordError

FILE = rooms.leaderboard() / "published" / published.FILE
ROW = dict.fromkeys(published.Published.model_fields, "") | {
    "scale": "small",
    "track": "filtering",
    "method": "theirs",
    "average_38": "0.2",
    "source": "arXiv 2304.14108 Table 3",
    "source_quality": "primary",
}


@pytest.fixture
def write(tmp_path):
    def write(*rows):
        path = tmp_path / "results.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return path

    return write


def test_every_row_of_the_project_s_file_is_on_the_page(tmp_path):
    (tmp_path / "entries").mkdir()
    page.build(tmp_path / "entries", tmp_path / "out")
    text = Markup((tmp_path / "out/published.html").read_text()).text
    rows = [row for table in published.read(FILE) for row in table.rows]
    with FILE.open(newline="") as file:
        assert len(rows) == sum(1 for _ in csv.DictReader(file)) == 415
    assert [row.method for row in rows if " ".join(row.method.split()) not in text] == []
    assert all(row.source for row in rows)


def test_published_rows_stand_in_a_table_for_each_scale_and_track_the_best_first(write):
    rows = [ROW | {"method": name, "average_38": average} for name, average in (("low", "0.1"), ("none", ""), ("high", "0.3"))]
    tables = published.read(write(*rows, ROW | {"track": "byod"}, ROW | {"scale": "medium"}))
    assert [(table.scale, table.title) for table in tables] == [("small", "Filtering"), ("small", "Bring your own data"), ("medium", "Filtering")]
    assert [row.method for row in tables[0].rows] == ["high", "low", "none"]
    assert [row.method for _, row in published.best(tables)] == ["high", "theirs"]


def test_published_rows_have_no_rank_and_are_in_no_table_of_entries(make_entry, write, tmp_path):
    make_entry("ours").write(tmp_path / "entries/a.json")
    page.build(tmp_path / "entries", tmp_path / "out", write(ROW))
    index = (tmp_path / "out/index.html").read_text()
    assert "theirs" not in index[index.index("<table") : index.rindex("</table>")]
    text = (tmp_path / "out/published.html").read_text()
    assert "not ranked" in text
    assert 'class="rank"' not in text
    assert "ours" not in Markup(text).text
    assert ("a", "https://arxiv.org/abs/2304.14108") in Markup(text).addresses


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"average_38": "1.2"}, "line 2.*average_38"),
        ({"average_38": "high"}, "line 2 has a score that is no number"),
        ({"average_38": "nan"}, "line 2.*average_38"),
        ({"scale": "huge"}, "line 2.*scale"),
        ({"method": "\x1b[31m"}, "line 2.*method"),
        ({"more": "1"}, "has the columns"),
    ],
)
def test_a_row_that_does_not_hold_is_refused_with_its_line(write, change, problem):
    with pytest.raises(RecordError, match=problem):
        published.read(write(ROW | change))


def test_markup_in_a_published_row_is_shown_as_text(write, tmp_path):
    (tmp_path / "entries").mkdir()
    page.build(
        tmp_path / "entries",
        tmp_path / "out",
        write(ROW | {"method": ATTACK, "source": f"{ATTACK} javascript:alert(1)", "notes": '"><img src=x onerror=alert(1)>'}),
    )
    for name in ("index.html", "published.html"):
        text = (tmp_path / "out" / name).read_text()
        found = Markup(text)
        assert found.handlers == []
        assert found.tags.count("img") == 1  # our own sign
        assert ATTACK in found.text
        assert ATTACK not in text
        assert not [address for _, address in found.addresses if "javascript" in address]


@pytest.mark.parametrize(("text", "samples"), [("12.8M", 12.8e6), ("128K", 128_000), ("1.4B", 1.4e9), ("34", 34), ("n/a", None), ("", None)])
def test_an_amount_is_a_number_of_samples(text, samples):
    assert published.amount(text) == samples
