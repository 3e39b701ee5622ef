"""What the page's readers choose by: public resources, words, and measures whose parts make the very intervals of `results compare`."""

import json
from pathlib import Path

import pytest

import datacomp.filters
from datacomp.artifacts.entry import DataSource
from datacomp.board import choices, compare, evaluated, page
from datacomp.declared import suite as suites

SOURCE = {"name": "list", "origin": "the web", "text": "alt texts", "licence": "CC0", "weight": 1.0}


@pytest.mark.parametrize(
    ("resources", "public"),
    [
        ((), True),
        (("lid.176.ftz", "gcld3", "WordNet 3.0"), True),
        (("a model, https://example.org/model",), True),
        (("lid.176.ftz", "our own classifier"), False),
        (("javascript:alert(1)",), False),
    ],
)
def test_resources_are_public_where_anybody_can_have_them(make_entry, resources, public):
    assert choices.is_public(make_entry(external_resources=resources)) is public


def test_a_source_without_an_address_is_not_public(make_entry):
    assert choices.is_public(make_entry(data_sources=(DataSource(**SOURCE, url="https://example.org"),)))
    assert not choices.is_public(make_entry(data_sources=(DataSource(**SOURCE, url=""),)))


def test_what_counts_as_public_is_what_the_filters_name():
    texts = "".join(path.read_text() for path in Path(datacomp.filters.__file__).parent.glob("*.py"))
    assert [name for name in choices.KNOWN_PUBLIC if f'"{name}"' not in texts] == []


@pytest.mark.parametrize("suite", ["nano", "datacomp"])
def test_a_row_holds_every_mean_and_task_with_the_parts_of_its_error(make_entry, suite):
    suite = suites.load(suite)
    entry = make_entry(seeds=(0, 1, 2), suite=suite.spec.name)
    rows = json.loads(choices.measured_text(entry, suite, choices.measured(entry, suite)))
    measures = json.loads(choices.measures_text(suite))
    assert len(rows) == len(measures) == 1 + len(suite.spec.groups) + len(suite.counting)
    for measure, (value, error, sample, seeds, freedom) in zip(measures, rows, strict=True):
        assert 0 < value < 1, measure
        assert error > 0
        assert sample > 0
        assert seeds > 0
        assert freedom >= 2


def test_parts_give_the_intervals_of_a_comparison(make_entry):
    suite = suites.load("nano")
    first, second = (evaluated.of_entry(make_entry(seeds=seeds, level=level), suite) for seeds, level in (((0, 1), 0.5), ((3,), 0.52)))
    for one in compare.compare(first, second).differences:
        if not one.is_mean:
            sides = [compare.measured_task(side, one.name) for side in (first, second)]
            assert compare.difference(one.name, *sides, is_mean=False) == one


def test_words_of_strangers_end_no_attribute(make_entry, tmp_path):
    hostile = '" onmouseover="alert(1)" x=\'<!--'
    make_entry(hostile, description=hostile, proposed_by=hostile, subset={"external_resources": (hostile,)}).write(tmp_path / "entries/a.json")
    page.build(tmp_path / "entries", tmp_path / "out")
    for name in ("index.html", "entries/a.html"):
        text = (tmp_path / "out" / name).read_text()
        assert '" onmouseover' not in text
        assert "<!--" not in text
