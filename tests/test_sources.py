"""Training on one's own data beside the pool: any webdataset as shards, weights, and an entry of track byod that holds."""

import json
import shutil

import faults
import pytest

from datacomp import tars
from datacomp.artifacts.entry import DataSource, Entry
from datacomp.board import page
from datacomp.board.enter import broken_rules
from datacomp.cli import options
from datacomp.declared import scale as scales
from datacomp.declared import track as tracks
from datacomp.errors import EntryError, StageError
from datacomp.train import webdataset
from datacomp.train.hardware import Hardware
from datacomp.train.run import train

STATED = {
    "source": [
        {"name": "mine", "origin": "a garden", "text": "written by hand", "licence": "CC0"},
        {"name": "shards", "origin": "the pool", "text": "generated", "licence": "MIT", "url": "https://example.org/pool"},
    ],
    "checklist": {"tests": "none, by datacomp decontaminate", "existing": "none", "own": "a garden"},
}


@pytest.fixture
def mine(small_pool, tmp_path):
    """Somebody's webdataset: uneven tars under their own numbers, no uids, one sample without a caption."""
    folder = tmp_path / "mine"
    folder.mkdir()
    samples = [data for _, data in tars.read_all(small_pool.tars()[0])][:90]
    for number, part in ((3, samples[:60]), (4, samples[60:])):
        with tars.TarWriter(folder / f"{number}.tar") as writer:
            for place, data in enumerate(part):
                writer.add(f"{place}.jpg", data["jpg"])
                if (number, place) != (4, 7):
                    writer.add(f"{place}.txt", data["txt"])
    return folder


def test_any_webdataset_is_a_source(mine):
    found = webdataset.read(f"{mine}=2.5")
    assert found.weight == 2.5
    record = found.shards.record
    assert (record.form, record.found_samples, record.unpaired_samples, record.unnamed_samples) == ("not resharded here", 90, 1, 90)
    assert [(shard.name, shard.samples, shard.pairs) for shard in record.shards] == [("3.tar", 60, 60), ("4.tar", 30, 29)]


def test_names_in_braces_folders_of_folders_and_gaps(mine, tmp_path, capsys):
    assert len(webdataset.read(str(mine / "{3..4}.tar")).shards.tars()) == 2
    with pytest.raises(StageError, match=r"1 of the 3 tars named by .* are not there, .*5\.tar the first"):
        webdataset.read(str(mine / "{3..5}.tar"))
    shutil.copytree(mine, tmp_path / "both" / "a")
    shutil.copytree(mine, tmp_path / "both" / "b")
    assert len(webdataset.read(str(tmp_path / "both")).shards.tars()) == 4
    shutil.copy(mine / "4.tar", mine / "9.tar")
    assert len(webdataset.read(str(mine)).shards.tars()) == 3
    assert "4 numbers between 3 and 9 have no tar, 5 the first" in capsys.readouterr().err
    (mine / "meta.json").write_text(json.dumps({"output_shard_count": 4}))
    with pytest.raises(StageError, match="counts 4 shards, 3 are there"):
        webdataset.read(str(mine))


def test_a_folder_without_shards_or_pairs_is_refused(tmp_path):
    with pytest.raises(StageError, match="no training shards"):
        webdataset.read(str(tmp_path))
    with tars.TarWriter(tmp_path / "0.tar") as writer:
        writer.add("a.jpg", b"picture")
    with pytest.raises(StageError, match="no sample with a picture and a caption"):
        webdataset.read(str(tmp_path))


@pytest.fixture
def trained(mine, small_shards, tiny_scale, tmp_path):
    """A run on two weighted sources."""
    sources = [webdataset.read(f"{mine}=1"), webdataset.read(f"{small_shards.path}=3")]
    shards, weights = zip(*((source.shards, source.weight) for source in sources), strict=True)
    return train(tiny_scale, shards, tmp_path / "run", weights=weights, hardware=Hardware(workers=0))


def test_a_run_states_its_sources(trained, small_shards):
    sources = trained.record.inputs.sources
    assert [(source.name, source.weight, source.samples) for source in sources] == [("mine", 1.0, 90), ("shards", 3.0, small_shards.record.found_samples)]
    assert trained.record.inputs.sources[0].subset.ineligible


def test_track_byod_wants_to_know_every_source(tmp_path):
    with pytest.raises(EntryError, match="wants every source told and its checklist answered"):
        options.about("m", "a", "", "", None, None, "byod")
    (tmp_path / "sources.toml").write_text('[[source]]\nname = "a"\norigin = "b"\ntext = "c"\nlicence = "d"\n[checklist]\ntests = "no"\nown = "no"\n')
    with pytest.raises(EntryError, match="existing: Which existing data sets"):
        options.about("m", "a", "", "", None, tmp_path / "sources.toml", "byod")
    with pytest.raises(EntryError, match="track filtering takes one list"):
        options.about("m", "a", "", "", None, tmp_path / "sources.toml", "filtering")


@pytest.mark.slow
def test_two_weighted_sources_end_in_an_entry_that_holds(small_pool, mine, tmp_path):
    """At scale smoke: own data, made a pool, and a filtered pool."""
    pool, own = small_pool.path, tmp_path / "own"
    commands = (
        ["pool", "build", "--shards", mine, "--out", own],
        ["decontaminate", "--pool", own, "--suite", "nano", "--out", tmp_path / "clean.npy"],
        ["reshard", "--pool", own, "--subset", tmp_path / "clean.npy", "--out", tmp_path / "mine-shards", "--scale", "smoke"],
        ["filter", "clip_score", "--fraction", "0.3", "--pool", pool, "--out", tmp_path / "best.npy"],
        ["reshard", "--pool", pool, "--subset", tmp_path / "best.npy", "--out", tmp_path / "pool-shards", "--scale", "smoke"],
        ["train", "--scale", "smoke", "--shards", f"{tmp_path}/mine-shards=1", "--shards", f"{tmp_path}/pool-shards=3", "--out", tmp_path / "run"],
        ["evaluate", "--run", tmp_path / "run"],
    )
    for command in commands:
        code, said = faults.run(command)
        assert code == 0, said
    stated = STATED | {"source": [source | {"name": name} for source, name in zip(STATED["source"], ("mine-shards", "pool-shards"), strict=True)]}
    lines = [f"[[source]]\n{''.join(f'{key} = {json.dumps(value)}' + chr(10) for key, value in source.items())}" for source in stated["source"]]
    table = tmp_path / "sources.toml"
    table.write_text("".join(lines) + "[checklist]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in STATED["checklist"].items()))
    enter_it = ["enter", "--run", tmp_path / "run", "--track", "byod", "--method", "mine and theirs", "--author", "me", "--out", tmp_path / "entry.json"]
    code, said = faults.run(enter_it)
    assert code == 1
    assert "wants every source told" in said
    code, said = faults.run([*enter_it, "--sources", table])
    assert code == 0, said
    code, said = faults.run(["verify", tmp_path / "entry.json", "--run", tmp_path / "run"])
    assert code == 0, said
    entry = Entry.read(tmp_path / "entry.json")
    assert [(source.name, source.weight) for source in entry.data_sources] == [("mine-shards", 1.0), ("pool-shards", 3.0)]
    untold = entry.model_copy(update={"data_sources": entry.data_sources[:1]})
    untold.write(tmp_path / "untold.json")
    code, said = faults.run(["verify", tmp_path / "untold.json"])
    assert code == 1
    assert "nothing is said of source pool-shards" in said


def test_the_board_shows_what_is_said_of_the_data(make_entry, tmp_path):
    said = {"name": "list", "origin": "<script>a garden</script>", "text": "by hand", "licence": "CC0", "url": "https://example.org/mine", "weight": 1.0}
    entry = make_entry(track="byod", data_sources=(DataSource(**said),), answers=STATED["checklist"])
    assert not broken_rules(entry, scales.load("nano"), tracks.load("byod"))
    (tmp_path / "entries").mkdir()
    entry.write(tmp_path / "entries" / "mine.json")
    page.build(tmp_path / "entries", tmp_path / "board")
    shown = (tmp_path / "board" / "entries" / "mine.html").read_text()
    assert "What the participant says of the data" in shown
    assert "&lt;script&gt;a garden" in shown
    assert "<script>a garden" not in shown
    assert 'href="https://example.org/mine"' in shown
    assert "none, by datacomp decontaminate" in shown


def test_an_entry_of_track_byod_that_says_nothing_does_not_hold(make_entry):
    entry = make_entry(track="byod")
    found = broken_rules(entry, scales.load("nano"), tracks.load("byod"))
    assert found[0] == "nothing is said of source list"
    assert [problem.split("'")[2] for problem in found[1:]] == ["tests", "existing", "own"]
