"""The page of a list: its numbers are those of an independent count, the same inputs give the same bytes, and strangers' words stay words."""

import base64
import collections
import hashlib
import io
import json
import re
import statistics
from html.parser import HTMLParser
from urllib.parse import urlsplit

import fasttext
import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from datacomp import pages, tables, tars, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.cli import app
from datacomp.declared import asset as assets
from datacomp.errors import PoolError, StageError, SubsetError
from datacomp.filters.apply import apply
from datacomp.subset import algebra, counting, histograms, languages, page, pairs, wording
from datacomp.subset.frequent import Tally
from datacomp.subset.inspect import WALL_PAIRS, inspect

SCORE = "clip_l14_similarity_score"
ATTACK = "<script>alert(1)</script>"
HOSTILE = (ATTACK, '"><img src=x onerror=alert(1)>', "\u202eturned\u2066", "bell\x07 null\x00 escape\x1b[31m", "long " * 2000, "{{ 7 * 7 }}", "", None)


class Markup(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.inline = [], [], [], {}
        self._inside = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        self._inside = tag if tag in {"script", "style"} else None

    def handle_data(self, data):
        if self._inside:
            self.inline[self._inside] = data
            self._inside = None
        else:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def picture(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def make_pool(folder, columns, *, files=1, shown=None):
    """A pool of somebody else's making; `shown` gives pictures by row, by default one for each, and {} makes no tar."""
    rows = len(next(iter(columns.values())))
    names = [f"{row:032x}" for row in range(1, rows + 1)]
    shown = {row: picture((row % 256, 0, 0)) for row in range(rows)} if shown is None else shown
    for number, places in enumerate(np.array_split(np.arange(rows), files)):
        mine = {name: [values[place] for place in places] for name, values in columns.items()}
        tables.write_parquet(folder / "metadata" / f"{number:08d}.parquet", pl.DataFrame({"uid": [names[place] for place in places], **mine}))
        if shown:
            (folder / "shards").mkdir(parents=True, exist_ok=True)
            with tars.TarWriter(folder / "shards" / f"{number:08d}.tar") as writer:
                for place in places:
                    if place in shown:
                        writer.add(f"{place:09d}.png", shown[place])
                        writer.add(f"{place:09d}.json", json.dumps({"uid": names[place]}).encode())
    return pools.read(folder)


def make_list(path, rows):
    return subsets.write(path, [uids.parse([f"{row + 1:032x}" for row in sorted(rows)])])


def listed_rows(pool, listed):
    """The whole pool as one frame, with how often the list names each row."""
    frame = pl.concat([tables.read_parquet(pool.metadata(stem)) for stem in pool.stems])
    times = collections.Counter(uids.text(np.array(listed.uids)))
    return frame.with_columns(pl.Series("times", [times[uid] for uid in frame["uid"]]))


def both(split):
    return split.kept, split.dropped


@pytest.fixture(scope="module")
def best(small_pool, tmp_path_factory):
    return apply("clip_score", {"fraction": 0.3, "score": SCORE}, small_pool, tmp_path_factory.mktemp("list") / "best.npy")


@pytest.fixture(scope="module")
def found(small_pool, best):
    return inspect(small_pool, best)


@pytest.fixture(scope="module")
def frame(small_pool, best):
    return listed_rows(small_pool, best)


# numbers


def test_rows_are_counted(found, frame):
    kept = frame.filter(pl.col("times") > 0).height
    assert both(found.numbers.rows) == (kept, frame.height - kept) == (181, 419)
    assert [(row.times, row.rows) for row in found.numbers.times] == [(1, 181)]


def quantities(row):
    width, height, caption = row["original_width"], row["original_height"], row["text"]
    return {
        counting.SHORTER_SIDE: min(width, height),
        counting.ASPECT: max(width, height) / min(width, height),
        counting.CHARACTERS: len(caption),
        counting.WORDS: len(caption.split()),
        **{name: value for name, value in row.items() if name.startswith("clip_")},
    }


def test_every_histogram_is_that_of_its_quantity(found, frame):
    drawn = [*found.numbers.histograms, *(score.histogram for score in found.numbers.scores)]
    rows = [(quantities(row), row["times"] > 0) for row in frame.iter_rows(named=True)]
    assert {histogram.name for histogram in drawn} == rows[0][0].keys()
    for histogram in drawn:
        for bin_ in histogram.bins:
            inside = [kept for values, kept in rows if bin_.start <= values[histogram.name] and (bin_.end is None or values[histogram.name] < bin_.end)]
            assert both(bin_.counted) == (sum(inside), len(inside) - sum(inside)), (histogram.name, bin_)
        assert sum(bin_.counted.rows for bin_ in histogram.bins) == 600
        assert histogram.missing.rows == 0


@pytest.mark.parametrize("name", [counting.SHORTER_SIDE, counting.CHARACTERS, counting.WORDS])
def test_medians_of_whole_numbers_are_exact(found, frame, name):
    histogram = next(histogram for histogram in found.numbers.histograms if histogram.name == name)
    for side, median in ((True, histogram.median_kept), (False, histogram.median_dropped)):
        assert median == statistics.median_low(quantities(row)[name] for row in frame.iter_rows(named=True) if (row["times"] > 0) == side)


def test_the_median_of_a_score_is_close(found, frame):
    score = next(score.histogram for score in found.numbers.scores if score.histogram.name == SCORE)
    step = score.bins[0].end - score.bins[0].start
    assert score.median_kept == pytest.approx(frame.filter(pl.col("times") > 0)[SCORE].median(), abs=step / 10)


def test_languages_are_fasttext_s(found, frame):
    model = fasttext.load_model(str(assets.locate(assets.load("lid.176.ftz"))))
    expected = collections.Counter((model.predict(row["text"], k=1)[0][0].removeprefix("__label__"), row["times"] > 0) for row in frame.iter_rows(named=True))
    seen = found.numbers.languages
    assert (seen.rows, seen.sampled, seen.missing.rows) == (600, False, 0)
    for name in seen.most:
        assert both(name.counted) == (expected[name.name, True], expected[name.name, False])
    assert seen.other.rows + sum(name.counted.rows for name in seen.most) == 600


def test_captions_and_domains_are_counted(found, frame):
    for names, of in ((found.numbers.captions, lambda row: row["text"].strip()), (found.numbers.domains, lambda row: urlsplit(row["url"]).hostname)):
        kept = collections.Counter(of(row) for row in frame.iter_rows(named=True) if row["times"])
        dropped = collections.Counter(of(row) for row in frame.iter_rows(named=True) if not row["times"])
        assert names.different == len(kept | dropped)
        assert [name.counted.kept for name in names.most_kept] == sorted(kept.values(), reverse=True)[:10]
        assert [name.counted.dropped for name in names.most_dropped] == sorted(dropped.values(), reverse=True)[:10]
        for name in (*names.most_kept, *names.most_dropped, *names.over, *names.under):
            assert both(name.counted) == (kept[name.name], dropped[name.name])


def test_what_stands_out_is_far_from_the_overall_share():
    tally = Tally()
    names = ["loved"] * 100 + ["hated"] * 100 + ["usual"] * 1000 + ["rare"] * 4
    kept = np.array([True] * 95 + [False] * 5 + [True] * 2 + [False] * 98 + [True, False] * 500 + [True] * 4)
    tally.add(pl.Series(names), kept)
    found = tally.names()
    assert ([name.name for name in found.over], [name.name for name in found.under]) == (["loved"], ["hated"])


def test_the_edge_of_a_score_list_is_found_with_the_pairs_around_it(found, frame):
    assert list(found.at_edges) == [SCORE]
    score = next(score for score in found.numbers.scores if score.histogram.name == SCORE)
    kept, dropped = (frame.filter((pl.col("times") > 0) == side) for side in (True, False))
    assert (score.lowest_kept, score.highest_dropped) == (kept[SCORE].min(), dropped[SCORE].max())
    assert [shown.pair.uid for shown in found.at_edges[SCORE].kept] == kept.sort(SCORE, "uid")["uid"].to_list()[:8]
    assert [shown.pair.uid for shown in found.at_edges[SCORE].dropped] == dropped.sort(SCORE, descending=True)["uid"].to_list()[:8]


def test_a_list_that_is_no_top_part_has_no_edge(small_pool, tmp_path):
    found = inspect(small_pool, apply("random", {"fraction": 0.5}, small_pool, tmp_path / "list.npy"))
    assert found.at_edges == {}
    assert 'id="edge"' not in page.text(found)


def test_the_random_pairs_are_of_their_side_with_their_own_pictures(found, frame, small_pool):
    times = dict(zip(frame["uid"], frame["times"], strict=True))
    assert [times[shown.pair.uid] for shown in found.at_random.kept] == [1] * WALL_PAIRS
    assert [times[shown.pair.uid] for shown in found.at_random.dropped] == [0] * WALL_PAIRS
    stored = {json.loads(members["json"])["uid"]: members["jpg"] for _, members in tars.read_all(small_pool.tars()[0])}
    for shown in (*found.at_random.kept, *found.at_random.dropped):
        small = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.picture.partition(",")[2])))).astype(float)
        original = np.asarray(Image.open(io.BytesIO(stored[shown.pair.uid]))).astype(float)
        assert np.abs(small - original).mean() < 12


def test_other_lists_are_compared(small_pool, best, tmp_path):
    others = [apply("random", {"fraction": 0.5, "seed": seed}, small_pool, tmp_path / f"{seed}.npy") for seed in range(2)]
    found = inspect(small_pool, best, [*others, best])
    for compared, other in zip(found.numbers.overlaps, (*others, best), strict=True):
        one, two = set(uids.text(np.array(best.uids))), set(uids.text(np.array(other.uids)))
        assert (compared.name, compared.shared_distinct) == (other.path.stem, len(one & two))
        assert compared.jaccard == pytest.approx(len(one & two) / len(one | two))
        assert compared.expected_distinct == pytest.approx(len(one) * len(two) / 600)


def test_repeats_are_counted_apart_from_rows(small_pool, best, tmp_path):
    some = algebra.sample(best, 20, 0, tmp_path / "some.npy")
    found = inspect(small_pool, algebra.combine("sum", [best, *[some] * 11], tmp_path / "sum.npy"))
    assert found.numbers.rows.kept == 181
    assert [(row.times, row.rows) for row in found.numbers.times] == [(1, 161), (counting.MAX_TIMES, 20)]
    assert "10 or more" in Markup(page.text(found)).text
    assert {shown.pair.times for shown in found.at_random.kept} == {1, 12}


# bounded memory


def test_rare_names_are_forgotten_within_a_stated_bound():
    rng = np.random.default_rng(0)
    names = [f"name {number}" for number in np.minimum(rng.zipf(1.3, 20_000), 10**6)]
    exact, tally = collections.Counter(names), Tally(most=300)
    for start in range(0, len(names), 500):
        tally.add(pl.Series(names[start : start + 500]), np.ones(500, bool))
        assert len(tally._table) <= 300
    found = tally.names()
    assert found.different is None
    assert 0 < found.at_most_uncounted < exact["name 1"] / 4
    for name in found.most_kept:
        assert exact[name.name] - found.at_most_uncounted <= name.counted.kept <= exact[name.name]
    assert {name for name, count in exact.items() if count > found.at_most_uncounted} <= set(tally._table["name"])


def test_languages_of_a_large_pool_are_those_of_a_stated_sample(small_pool, best, monkeypatch):
    monkeypatch.setattr(languages, "SAMPLED_ROWS", 200)
    found = inspect(small_pool, best)
    assert found.numbers.languages.sampled
    assert 150 < found.numbers.languages.rows < 250
    assert f"a random sample of {found.numbers.languages.rows} captions" in Markup(page.text(found)).text


def test_pictures_are_looked_for_in_a_limited_number_of_tars(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "MAX_TARS", 2)
    pool = make_pool(tmp_path / "pool", {"text": ["a caption"] * 90}, files=30)
    found = inspect(pool, make_list(tmp_path / "list.npy", range(45)))
    assert (found.searched_tars, found.all_tars, found.lacking_pictures) == (2, 30, True)
    assert sum(shown.picture is not None for wall in found.at_random for shown in wall) == 6
    assert "looked for in 2 of the pool's 30 tars" in Markup(page.text(found)).text


# the same again


def test_the_same_inputs_give_the_same_bytes(small_pool, best, found):
    assert page.text(inspect(small_pool, best)) == page.text(found)
    other = inspect(small_pool, best, seed=1)
    assert [shown.pair.uid for shown in other.at_random.kept] != [shown.pair.uid for shown in found.at_random.kept]


def test_how_a_pool_is_cut_into_files_changes_neither_numbers_nor_pairs(tmp_path):
    columns = {"text": [f"caption {row % 7}" for row in range(60)], "clip_x_similarity_score": [row / 60 for row in range(60)]}
    listed = make_list(tmp_path / "list.npy", range(10, 40))
    one, many = (inspect(make_pool(tmp_path / str(files) / "pool", columns, files=files), listed) for files in (1, 7))
    assert one.numbers == many.numbers
    assert [shown.pair.uid for shown in one.at_random.kept] == [shown.pair.uid for shown in many.at_random.kept]


# pools and lists of every kind


def test_a_pool_of_uids_alone_has_a_page(tmp_path):
    found = inspect(make_pool(tmp_path / "pool", {"other": [1, 2, 3]}, shown={}), make_list(tmp_path / "list.npy", [1]))
    numbers = found.numbers
    assert (numbers.scores, numbers.histograms, numbers.languages, numbers.captions, numbers.domains) == ((), (), None, None, None)
    text = Markup(page.text(found)).text
    assert "this list keeps 1 and drops 2" in text
    assert "The pool's tars are not here" in text


def test_missing_values_are_counted_as_missing(tmp_path):
    columns = {
        "text": ["one", None, "  ", "four"],
        "url": ["https://www.a.example/x", None, "no address", "HTTP://user@B.example:80/"],
        "original_width": [100.0, None, 0.0, float("inf")],
        "original_height": [50, 10, 10, 300],
        SCORE: [0.5, None, float("nan"), float("inf")],
    }
    found = inspect(make_pool(tmp_path / "pool", columns), make_list(tmp_path / "list.npy", [0, 1]))
    missing = {histogram.name: both(histogram.missing) for histogram in found.numbers.histograms}
    assert missing == {counting.SHORTER_SIDE: (1, 1), counting.ASPECT: (1, 2), counting.CHARACTERS: (1, 0), counting.WORDS: (1, 0)}
    assert both(found.numbers.scores[0].histogram.missing) == (1, 2)
    assert both(found.numbers.captions.missing) == both(found.numbers.languages.missing) == (1, 1)
    assert both(found.numbers.domains.missing) == (1, 1)
    assert {name.name for name in (*found.numbers.domains.most_kept, *found.numbers.domains.most_dropped)} == {"a.example", "b.example"}
    assert "no caption" in Markup(page.text(found)).text


@pytest.mark.parametrize("value", [0.3, -1e-300, 0.0, 1e8, float("nan")])
def test_a_score_that_is_the_same_everywhere_has_a_histogram(tmp_path, value):
    found = inspect(make_pool(tmp_path / "pool", {SCORE: [value] * 3}), make_list(tmp_path / "list.npy", [1]))
    (score,) = found.numbers.scores
    assert sum(bin_.counted.rows for bin_ in score.histogram.bins) == (0 if np.isnan(value) else 3)
    page.text(found)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-0.2, 0.43), (0.1, 0.3), (-1e9, 1e9), (0.30001, 0.30002), (0, 1e-7), (12, 97)])
def test_score_bins_hold_all_scores_between_round_edges(low, high):
    edges = histograms.of_scores(low, high)
    assert edges.fine[0] <= low < high <= edges.fine[-1]
    assert 15 <= len(edges.shown) - 1 <= 42
    step = edges.fine[20] - edges.fine[0]
    assert re.fullmatch(r"[125](\.0+)?e[+-]\d+", f"{step:.6e}")
    assert all(edge == pytest.approx(round(edge / step) * step) for edge in edges.fine[list(edges.shown)])


def test_a_median_beyond_the_last_bin_is_a_lower_bound(tmp_path):
    found = inspect(make_pool(tmp_path / "pool", {"text": ["x" * 900, "xx"]}), make_list(tmp_path / "list.npy", [0]))
    text = Markup(page.text(found)).text
    assert "kept: median 240 or more" in text
    assert "dropped: median 2 " in text


def test_everything_kept_leaves_the_other_side_empty(small_pool, tmp_path):
    found = inspect(small_pool, apply("no_filter", {}, small_pool, tmp_path / "all.npy"))
    assert (found.at_random.dropped, found.at_edges, found.numbers.captions.over) == ((), {}, ())
    text = Markup(page.text(found)).text
    assert "keeps 600: all of them" in text
    assert "Nothing was dropped." in text


def test_a_list_of_another_pool_is_refused(small_pool, tmp_path):
    with pytest.raises(SubsetError, match=r"2 of the 2 uids of .* are not in the pool.*datacomp subset repair"):
        inspect(small_pool, make_list(tmp_path / "list.npy", [0, 1]))


def test_a_pool_that_holds_a_uid_twice_is_refused(tmp_path):
    pool = make_pool(tmp_path / "pool", {"text": ["a"] * 4})
    tables.write_parquet(pool.path / "metadata" / "more.parquet", pl.DataFrame({"uid": [f"{1:032x}"], "text": ["a"]}))
    with pytest.raises(PoolError, match="several rows with one uid"):
        inspect(pools.read(pool.path), make_list(tmp_path / "list.npy", [0]))


def test_a_column_that_changes_its_type_is_refused(tmp_path):
    pool = make_pool(tmp_path / "pool", {SCORE: [0.5]})
    tables.write_parquet(pool.path / "metadata" / "more.parquet", pl.DataFrame({"uid": [f"{2:032x}"], SCORE: ["high"]}))
    with pytest.raises(PoolError, match=r"more\.parquet has another type"):
        inspect(pools.read(pool.path), make_list(tmp_path / "list.npy", [0]))


def test_a_broken_picture_says_so_and_a_missing_one_too(tmp_path):
    pool = make_pool(tmp_path / "pool", {"text": ["a", "b", "c"]}, shown={0: b"no picture", 1: picture("red")})
    found = inspect(pool, make_list(tmp_path / "list.npy", [0]))
    assert [shown.picture for shown in found.at_random.kept] == [""]
    assert sorted(shown.picture is None for shown in found.at_random.dropped) == [False, True]
    text = Markup(page.text(found)).text
    assert "picture is broken" in text
    assert "no picture here" in text


def test_a_picture_of_any_kind_becomes_a_small_jpeg(tmp_path):
    buffer = io.BytesIO()
    Image.new("LA", (2000, 500), (200, 100)).save(buffer, "PNG")
    pool = make_pool(tmp_path / "pool", {"text": ["a"]}, shown={0: buffer.getvalue()})
    (shown,) = inspect(pool, make_list(tmp_path / "list.npy", [0])).at_random.kept
    small = Image.open(io.BytesIO(base64.b64decode(shown.picture.partition(",")[2])))
    assert (small.format, small.size) == ("JPEG", (224, 56))


# strangers' words


@pytest.fixture
def hostile(tmp_path):
    columns = {
        "text": list(HOSTILE),
        "url": [f"https://{word}/" if word else word for word in HOSTILE],
        f"clip_{ATTACK}_similarity_score": [row / 8 for row in range(len(HOSTILE))],
    }
    pool = make_pool(tmp_path / f"pool {ATTACK.replace('/', '')}", columns)
    lists = [make_list(tmp_path / f"{name.replace('/', '')}.npy", range(4)) for name in (ATTACK, '"><img src=x onerror=y>', "\u202egnp")]
    return inspect(pool, lists[0], lists[1:])


def test_hostile_words_are_shown_and_do_nothing(hostile):
    text = page.text(hostile)
    markup = Markup(text)
    assert (markup.tags.count("script"), markup.tags.count("style")) == (1, 1)
    assert [name for _, name, _ in markup.attributes if name.startswith("on") or name in {"style", "srcset", "action"}] == []
    assert {value.partition(",")[0] for _, name, value in markup.attributes if name == "src"} == {"data:image/jpeg;base64", "data:image/svg+xml;base64"}
    assert {value[0] for _, name, value in markup.attributes if name == "href" and not value.startswith("data:image/svg+xml")} == {"#"}
    assert ATTACK in markup.text
    assert "{{ 7 * 7 }}" in markup.text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    assert max(len(word) for word in markup.words) < 1000


def test_the_policy_allows_the_page_s_own_style_and_script_only(hostile):
    markup = Markup(page.text(hostile))
    policy = next(value for tag, name, value in markup.attributes if tag == "meta" and name == "content" and "default-src" in value)
    digests = [base64.b64encode(hashlib.sha256(markup.inline[tag].encode()).digest()).decode() for tag in ("style", "script")]
    expected = f"default-src 'none'; style-src 'sha256-{digests[0]}'; script-src 'sha256-{digests[1]}'; img-src data:; base-uri 'none'; form-action 'none'"
    assert policy == expected


def test_words_are_cut_and_what_turns_them_is_replaced():
    assert wording.clean("a\nb\tc\u202ed\x00", 80) == "a b c\ufffdd\ufffd"
    assert wording.clean("x" * 100, 10) == "x" * 10 + "…"
    assert wording.clean("שלום \u200f!", 80) == "שלום \u200f!"


@pytest.mark.parametrize(("share", "words"), [(None, "\u2013"), (0.0, "0.0"), (0.0001, "<0.1"), (0.5, "50.0"), (0.9999, ">99.9"), (1.0, "100.0")])
def test_little_is_not_nothing_and_much_is_not_all(share, words):
    assert wording.percent(share) == words


def test_an_edge_has_as_many_digits_as_it_takes():
    assert wording.apart(0.5, 0.4) == ("0.500", "0.400")
    assert wording.apart(0.54400001, 0.54399999) == ("0.54400001", "0.54399999")
    assert wording.apart(0.5, 0.5) == ("0.500", "0.500")


# files and the command


def test_the_page_goes_to_a_file_or_into_a_folder(found, tmp_path):
    page.write(found, pages.target(tmp_path / "a.html"))
    page.write(found, pages.target(tmp_path / "new"), numbers=True)
    assert json.loads((tmp_path / "new" / "index.numbers.json").read_text())["rows"] == {"dropped": 419, "kept": 181}
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.html", "index.html", "index.numbers.json"]


def test_no_other_file_is_overwritten(best, tmp_path):
    with pytest.raises(StageError, match=r"ends in \.html"):
        pages.target(best.path)
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(StageError, match=r"ends in \.html"):
        pages.target(tmp_path / "folder.html")


def test_the_command_says_what_it_wrote(small_pool, best, tmp_path):
    out = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["inspect", str(best.path), "--pool", str(small_pool.path), "--compare", str(best.path), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert f"181 of 600 rows kept; the page is {out}" in done.output
    assert "What best keeps" in " ".join(Markup(out.read_text()).text.split())
    assert out.with_suffix(".numbers.json").is_file()
