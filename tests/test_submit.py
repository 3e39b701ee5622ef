"""Handing in: bundles that hold, nothing public that should not be, and a Hub whose connections break: the real client against a small one here."""

import getpass
import json
import logging
import random
import re
import shlex
import shutil
import socket
import types
from pathlib import Path

import hub_uploads
import huggingface_hub
import numpy as np
import pytest
import web
from folders import content
from markup import Markup
from typer.testing import CliRunner

from datacomp import digest, hub, rooms, uids
from datacomp.artifacts import queued as queue
from datacomp.artifacts import run as runs
from datacomp.artifacts import shards
from datacomp.artifacts import subset as subsets
from datacomp.artifacts.entry import Entry
from datacomp.artifacts.queued import Queued
from datacomp.board import page, verify
from datacomp.board.enter import About, Sources, enter
from datacomp.cli import app
from datacomp.declared import board as boards
from datacomp.declared import pool as declared_pools
from datacomp.declared import scale as scales
from datacomp.declared import suite as suites
from datacomp.declared import track as tracks
from datacomp.errors import AssetError, DatacompError, EntryError, RecordError, StageError, SubsetError
from datacomp.filters.apply import apply
from datacomp.pipelines import submit
from datacomp.submit import bundle as bundles
from datacomp.submit import private

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own
README = Path(__file__).parent.parent / "README.md"
BOARD, MINE = "datacomp/board", "somebody/clip-score"


def called(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def ended(*arguments):
    done = called(*arguments)
    assert done.exit_code == 0, done.exception
    return done.output


@pytest.fixture
def listed(tmp_path):
    """A list as it lies in the shards beside a run."""
    (tmp_path / "list").mkdir()
    return subsets.write(tmp_path / "list" / shards.LIST, [uids.parse([f"{i:032x}" for i in range(20)])])


@pytest.fixture
def made(make_run, listed):
    """Two runs of one list, and their entry."""
    finished = [make_run(f"seed{seed}", seed=seed, subset=listed.record.model_dump()) for seed in (0, 1)]
    about = About(method="CLIP score, best 30 %", author="Jane Doe", run_by="a laboratory", description="It *works*.")
    entry = enter(finished, suites.load("nano"), tracks.load("filtering"), about)
    entry.write(finished[0].path.parent / "entry.json")
    return finished, entry


@pytest.fixture
def bundle(made, tmp_path):
    submit.prepare(*made, tmp_path / "bundle", lists=(), weights=True)
    return tmp_path / "bundle"


@pytest.fixture
def address(monkeypatch):
    """Have the board lie somewhere."""

    def set_to(repository):
        monkeypatch.setattr(boards, "load", lambda: boards.Board(repository=repository))

    return set_to


@pytest.fixture
def small_hub(monkeypatch, address):
    """A Hub with a board on it, and somebody logged in."""
    monkeypatch.setattr(hub, "_PAUSE_S", 0)
    monkeypatch.setattr("huggingface_hub.utils._http.time", types.SimpleNamespace(sleep=lambda s: None))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("HF_TOKEN", hub_uploads.TOKEN)
    address(BOARD)
    with hub_uploads.hub(BOARD) as server:
        web.point_at(server.address, monkeypatch)
        yield server


# bundles


def test_a_bundle_holds_and_is_laid_out_as_a_run_is(bundle, made):
    checks = submit.validate(bundle)
    assert [one for one in checks if one.problem] == []
    assert verify.verify(bundle / "entry.json", verify.Beside((bundle / "seed0", bundle / "seed1")))[2] == verify.ARTEFACTS_CHECKED
    found = set(content(bundle))
    weights = "seed0/" + runs.weights_path(made[0][0].path, made[0][0].record.checkpoints[-1].step).relative_to(made[0][0].path).as_posix()
    folder = weights.rpartition("/")[0]
    assert found >= {"entry.json", "README.md", "list.npy", "list.json", "seed0/run.json", "seed0/evaluation/nano.json", weights, "bundle.json"}
    assert found >= {f"{folder}/README.md", f"{folder}/open_clip_config.json"}
    assert f"--include '{folder}/*'" in (bundle / folder / "README.md").read_text()


def test_the_dataset_card_says_who_what_and_how_good_and_no_name_is_markup(bundle, made, tmp_path):
    text = (bundle / "README.md").read_text()
    assert all(part in text for part in ("`CLIP score, best 30 %`", "`Jane Doe`", "`a laboratory`", "50.0", "`list.npy`", "seeds: 0, 1", "    It *works*."))
    evil = made[1].model_copy(update={"method": "`<script>` [a](http://b)"})
    assert "`?<script>? [a](http://b)`" in submit.card.card(evil, ())


def test_a_bundle_without_list_and_weights_holds_by_its_records(made, tmp_path):
    done = submit.prepare(*made, tmp_path / "bundle")
    assert {name for name in done.files if name.endswith((".npy", ".safetensors"))} == set()
    assert [one for one in submit.validate(tmp_path / "bundle") if one.problem] == []


def test_a_bundle_is_made_again_and_nothing_else_is_written_over(bundle, made, tmp_path, stopped):
    before = content(bundle)
    submit.prepare(*made, bundle, lists=(), weights=True)
    assert content(bundle) == before
    with pytest.raises(StageError, match=r"holds another bundle|is no part of this bundle"):
        submit.prepare(*made, bundle)
    assert content(bundle) == before
    with stopped(5):
        submit.prepare(*made, tmp_path / "killed", lists=(), weights=True)
    with pytest.raises(StageError, match="holds no finished bundle"):
        submit.validate(tmp_path / "killed")
    submit.prepare(*made, tmp_path / "killed", lists=(), weights=True)
    assert content(tmp_path / "killed") == before


def test_runs_of_another_entry_are_refused(made, make_run, tmp_path):
    with pytest.raises(EntryError, match="the entry has seeds 0, 1"):
        submit.prepare(made[0][:1], made[1], tmp_path / "bundle")
    other = make_run("other", seed=1, level=0.6)
    with pytest.raises(EntryError, match="is not what the entry says of seed 1"):
        submit.prepare([made[0][0], other], made[1], tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_list_that_is_not_beside_the_run_is_named(made, listed, tmp_path):
    elsewhere = shutil.move(listed.path, tmp_path / "mine.npy")
    with pytest.raises(SubsetError, match=r"does not lie beside.*--list LIST\.npy"):
        submit.prepare(*made, tmp_path / "bundle", lists=())
    assert "list.npy" in submit.prepare(*made, tmp_path / "bundle", lists=(elsewhere,)).files


def change_entry(folder, **changed):
    """An entry that says something else, in a bundle whose record fits it."""
    path = folder / "entry.json"
    path.write_text(digest.canonical(json.loads(path.read_text()) | changed))
    renew(folder, "entry.json")


def renew(folder, name):
    bundle = bundles.read(folder)
    file = bundles.File(bytes=(folder / name).stat().st_size, sha256=digest.of_file(folder / name))
    bundle.model_copy(update={"files": bundle.files | {name: file}}).write(folder / "bundle.json")


def other_list(folder):
    subsets.write(folder / "list.npy", [np.zeros(1, uids.UID)])
    renew(folder, "list.npy")
    renew(folder, "list.json")


def other_results(folder):
    path = folder / "seed1" / "evaluation" / "nano.json"
    path.write_text(path.read_text().replace("0.5", "0.6"))
    renew(folder, "seed1/evaluation/nano.json")


def other_weights(folder):
    path = next(folder.glob("seed0/checkpoints/*/model.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    renew(folder, path.relative_to(folder).as_posix())


@pytest.mark.parametrize(
    ("break_it", "expected"),
    [
        (lambda folder: (folder / "list.npy").unlink(), r"FAIL  file list\.npy: it is not there"),
        (lambda folder: (folder / "README.md").write_text("x"), r"FAIL  file README\.md: it is not the file that bundle\.json names"),
        (lambda folder: change_entry(folder, marks=["best of all"]), "FAIL  marks"),
        (lambda folder: change_entry(folder, rules_sha256="0" * 64), "FAIL  digest of the rules"),
        (lambda folder: change_entry(folder, proposed_by="me@example.org"), r"FAIL  entry\.json tells nothing of this machine: an e-mail address"),
        (other_list, r"FAIL  list list\.npy: it is not the list"),
        (other_results, "FAIL  run at .*its results_sha256"),
        (other_weights, "FAIL  run at .*is not the checkpoint"),
    ],
    ids=["a file gone", "a file changed", "marks", "rules", "address", "list", "results", "weights"],
)
def test_a_bundle_that_does_not_hold_is_found_and_not_pushed(bundle, small_hub, break_it, expected):
    assert "FAIL" not in ended("submit", "validate", bundle)
    break_it(bundle)
    done = called("submit", "validate", bundle)
    assert isinstance(done.exception, DatacompError)
    assert any(re.match(expected, line) for line in done.output.splitlines()), done.output
    with pytest.raises(EntryError, match="datacomp submit validate"):
        submit.hand_in(bundle, MINE)
    assert small_hub.authorized == []


def test_an_entry_alone_is_validated_as_the_board_does_it(make_entry, tmp_path):
    make_entry().write(tmp_path / "entry.json")
    printed = ended("submit", "validate", tmp_path / "entry.json")
    assert {line.split()[0] for line in printed.splitlines()} == {"pass"}
    assert len(printed.splitlines()) == len(verify.for_newcomer(tmp_path / "entry.json")[1]) + 2
    make_entry(scale="smoke").write(tmp_path / "entry.json")
    assert "FAIL  the scale has a board: scale smoke is for tests only" in called("submit", "validate", tmp_path / "entry.json").output


def test_what_stands_on_the_board_already_is_found_beforehand(make_entry, tmp_path, monkeypatch):
    make_entry().write(tmp_path / "leaderboard" / "entries" / "a.json")
    monkeypatch.setattr(rooms, "leaderboard", lambda: tmp_path / "leaderboard")
    make_entry().write(tmp_path / "same.json")
    assert "FAIL" not in ended("submit", "validate", tmp_path / "same.json")  # it has come there
    make_entry("another name").write(tmp_path / "copy.json")
    printed = called("submit", "validate", tmp_path / "copy.json").output
    assert "FAIL  no repeat of an earlier entry: the run with seed 0 has the same run" in printed
    assert "FAIL  all seeds of a list stand in one entry: a.json is of the same list" in printed


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", ".ssh/id", "a//b", ""])
def test_a_strangers_bundle_names_no_file_outside_itself(bundle, name):
    path = bundle / "bundle.json"
    said = json.loads(path.read_text())
    path.write_text(digest.canonical(said | {"files": said["files"] | {name: said["files"]["entry.json"]}}))
    with pytest.raises(RecordError, match="is no bundle record"):
        submit.leaving(bundle)


def test_a_link_that_leads_out_of_a_bundle_is_no_file_of_it(bundle, tmp_path):
    (tmp_path / "secret").write_bytes((bundle / "README.md").read_bytes())
    (bundle / "README.md").unlink()
    (bundle / "README.md").symlink_to(tmp_path / "secret")
    assert "FAIL  file README.md: it is not there" in called("submit", "validate", bundle).output


def test_a_bundle_of_one_s_own_data_carries_the_table_of_sources(make_run, tmp_path):
    run = make_run(source={"name": "garden"})
    said = {"name": "garden", "origin": "a garden", "text": "by hand", "licence": "CC0"}
    told = Sources.of({"source": (said,), "checklist": {"tests": "none", "existing": "none", "own": "a garden"}}, "sources")
    entry = enter([run], suites.load("nano"), tracks.load("byod"), About(method="mine", author="Jane Doe", sources=told))
    submit.prepare([run], entry, tmp_path / "bundle")
    assert Sources.read(tmp_path / "bundle" / "sources.json") == told
    assert "licence `CC0`: from `a garden`" in (tmp_path / "bundle" / "README.md").read_text()
    assert [one for one in submit.validate(tmp_path / "bundle") if one.problem] == []
    path = tmp_path / "bundle" / "sources.json"
    path.write_text(path.read_text().replace("CC0", "MIT"))
    renew(tmp_path / "bundle", "sources.json")
    assert [one.name for one in submit.validate(tmp_path / "bundle") if one.problem] == ["the table of sources"]


# what becomes public


@pytest.fixture
def somebody(monkeypatch, tmp_path):
    """This machine and its user have names that mean something."""
    monkeypatch.setattr(socket, "gethostname", lambda: "darkstar.example")
    monkeypatch.setattr(getpass, "getuser", lambda: "jdoe42")
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "jdoe"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see HOME/scores", ["a path in your home folder"]),
        ("ask jane.doe+x@mail.example.org", ["an e-mail address"]),
        ("made on darkstar.example", ["the name of this machine"]),
        ("by jdoe42.", ["your name on this machine"]),
        ("by jdoe421, see https://example.org/@jane, darkstar_example", []),
    ],
)
def test_texts_that_tell_of_this_machine_are_found(somebody, tmp_path, text, expected):
    assert private.told(text.replace("HOME", str(tmp_path / "home" / "jdoe"))) == expected


def test_a_name_by_which_somebody_means_to_be_known_is_no_secret(somebody):
    assert private.told("by jdoe42", meant=("jdoe42",)) == []
    assert private.told("by jdoe42", meant=("somebody",)) != []


@pytest.mark.parametrize("said", [{"author": "me@example.org"}, {"description": "on darkstar.example"}, {"description": "by jdoe42"}], ids=str)
def test_an_entry_that_tells_of_this_machine_becomes_no_bundle(made, somebody, tmp_path, said):
    finished, _ = made
    about = About(**{"method": "mine", "author": "Jane"} | said)
    entry = enter(finished, suites.load("nano"), tracks.load("filtering"), about)
    with pytest.raises(StageError, match=r"entry\.json would make public"):
        submit.prepare(finished, entry, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_the_name_of_a_user_becomes_public_only_where_it_is_said(made, somebody, tmp_path):
    finished, entry = made
    entry.model_copy(update={"proposed_by": "jdoe42"}).write(finished[0].path.parent / "entry.json")  # what `datacomp run` takes where nothing is said
    command = ("submit", "prepare", *(run.path for run in finished), "--out", tmp_path / "bundle")
    assert "would make public your name on this machine" in str(called(*command).exception)
    assert "part of a new entry is said" in str(called(*command, "--author", "jdoe42").exception)
    assert not (tmp_path / "bundle").exists()
    ended(*command, "--method", "mine", "--author", "jdoe42")
    assert Entry.read(tmp_path / "bundle" / "entry.json").proposed_by == "jdoe42"


def test_nothing_that_leaves_tells_of_this_machine(bundle, small_hub, somebody, tmp_path):
    shown = ended("submit", "push", bundle, "--repository", MINE, "--dry-run").replace(str(bundle), "")
    submit.hand_in(bundle, MINE)
    sent = small_hub.repositories[MINE]["files"] | small_hub.repositories[BOARD]["pulls"][0]["files"]
    public = [shown, *(data.decode("latin1") for data in sent.values()), *(str(one) for one in small_hub.repositories[BOARD]["pulls"])]
    for text in public:
        assert not any(secret in text for secret in ("darkstar", "jdoe42", str(tmp_path), hub_uploads.TOKEN))


# the Hub


def test_a_bundle_is_pushed_in_one_commit_and_its_entry_handed_in(bundle, small_hub):
    state = submit.hand_in(bundle, MINE)
    mine, board = small_hub.repositories[MINE], small_hub.repositories[BOARD]
    assert [commit["pull"] for commit in mine["commits"]] == [False]
    assert mine["files"] == {name: (bundle / name).read_bytes() for name in (*bundles.read(bundle).files, "bundle.json")}
    pull = board["pulls"][0]
    id_ = bundles.read(bundle).id
    assert pull["files"] == {f"leaderboard/entries/filtering/nano/clip-score-best-30-{id_}.json": (bundle / "entry.json").read_bytes()}
    assert board["files"] == {}
    assert f"data set {MINE} of the Hub, commit {mine['commits'][0]['oid']}" in pull["description"]
    assert (state.made, state.pushed.commit, state.pull.number, state.pull.state) == ("bundle", mine["commits"][0]["oid"], 1, "open")


def test_a_second_push_sends_nothing_again(bundle, small_hub):
    first = submit.hand_in(bundle, MINE)
    received = small_hub.received
    assert submit.hand_in(bundle, MINE) == first
    assert (len(small_hub.repositories[MINE]["commits"]), len(small_hub.repositories[BOARD]["pulls"])) == (1, 1)
    assert small_hub.received == received


def test_what_leaves_is_what_a_dry_run_shows(bundle, small_hub):
    shown = ended("submit", "push", bundle, "--repository", MINE, "--dry-run")
    assert small_hub.authorized == []
    submit.hand_in(bundle, MINE)
    pull = small_hub.repositories[BOARD]["pulls"][0]
    for name, data in (small_hub.repositories[MINE]["files"] | pull["files"]).items():
        assert f"{len(data):,} bytes  {name}\n" in shown
        if name.endswith((".md", ".json")):
            assert f"\n--- {name} ---\n{data.decode()}" in shown
    assert pull["summary"] in shown
    assert small_hub.repositories[MINE]["commits"][0]["summary"] in shown


@pytest.mark.parametrize("seed", range(6))
def test_cut_connections_leave_a_commit_whole_or_absent_and_a_later_try_completes(bundle, small_hub, seed, caplog, capsys):
    draw, cuts = random.Random(seed), []

    def cut(method, path):
        moment = draw.choice(hub_uploads.CUTS) if draw.random() < 0.5 else ""
        cuts.extend([moment] * bool(moment))
        return moment

    small_hub.cut = cut
    caplog.set_level(logging.DEBUG)
    failures = []
    for _ in range(40):
        try:
            submit.hand_in(bundle, MINE)
            break
        except AssetError as error:
            failures.append(str(error))
        mine = small_hub.repositories.get(MINE, hub_uploads.repository())
        assert set(mine["files"]) in (set(), {*bundles.read(bundle).files, "bundle.json"})
    small_hub.cut = lambda method, path: ""
    state = submit.hand_in(bundle, MINE)
    assert len(cuts) > 3
    assert state.pull.number == len(small_hub.repositories[BOARD]["pulls"]) == len(small_hub.repositories[MINE]["commits"]) == 1
    assert small_hub.repositories[MINE]["files"]["list.npy"] == (bundle / "list.npy").read_bytes()
    captured = capsys.readouterr()
    assert not any(hub_uploads.TOKEN in text for text in (*failures, caplog.text, captured.out, captured.err))


def test_a_lost_answer_opens_no_second_pull_request(bundle, small_hub):
    lost = iter(["after"])
    small_hub.cut = lambda method, path: next(lost, "") if "create_pr" in path and "/commit/" in path else ""
    assert submit.hand_in(bundle).pull.number == 1
    assert len(small_hub.repositories[BOARD]["pulls"]) == 1
    assert next(lost, None) is None


def test_a_hub_that_repeats_the_token_does_not_bring_it_to_light(bundle, small_hub, monkeypatch):
    monkeypatch.setattr(hub_uploads, "TOKEN", "hf_another")
    with pytest.raises(AssetError, match=r"the Hub (refuses|does not show).*hf auth login") as refused:
        submit.hand_in(bundle, MINE)
    assert "hf_never" not in str(refused.value)
    assert any("hf_never" in str(seen) for _, seen in small_hub.authorized)


def test_without_a_login_nothing_is_sent(bundle, small_hub, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(AssetError, match=r"nobody is logged in.*hf auth login"):
        submit.hand_in(bundle, MINE)
    assert small_hub.authorized == []


@pytest.mark.parametrize("name", ["no-owner/a/b", "a b/c"])
def test_a_name_that_is_no_repository_s_is_refused(bundle, small_hub, name):
    with pytest.raises(AssetError, match=r"is no name of a repository.*OWNER/NAME"):
        submit.hand_in(bundle, name)


def test_without_a_board_it_is_said_what_to_do_by_hand(bundle, address):
    address("")
    printed = ended("submit", "push", bundle)
    assert f"hand in by hand, to whoever keeps one: {bundle / 'entry.json'} as leaderboard/entries/filtering/nano/" in printed
    assert "no pull request on the board" in printed


def test_the_board_s_address_is_a_record_of_the_room():
    assert boards.Board.of({"repository": "datacomp/board"}, "a board").repository
    assert boards.load() is not None
    with pytest.raises(RecordError, match="is no board record"):
        boards.Board.of({"repository": "https://example.org/board"}, "a board")


@pytest.mark.parametrize("end", ["open", "merged", "closed"])
def test_status_says_where_it_stands_and_why(bundle, small_hub, end):
    assert ended("submit", "status", bundle) == "prepared: a bundle\nno pull request on the board\n"
    submit.hand_in(bundle, MINE)
    pull = small_hub.repositories[BOARD]["pulls"][0]
    assert "pull request 1: open" in ended("submit", "status", bundle)
    pull["status"] = end
    pull["said"] += [("a keeper", "Thank you."), ("a keeper", "Checked.\n\nThe list \x1b[31mis missing.\n")]
    by_id = ended("submit", "status", bundles.read(bundle).id)
    assert by_id in ended("submit", "status", bundle)
    assert f"pull request 1: {end}, " in by_id
    assert by_id.endswith("last said, by a keeper: The list ?[31mis missing.\n")
    assert "pushed: data set somebody/clip-score, commit " in ended("submit", "status", bundle)


def test_what_is_neither_folder_nor_id_has_no_status():
    with pytest.raises(StageError, match="is neither a folder nor an id"):
        submit.state("nowhere")


# lists that wait


@pytest.fixture
def tiny(monkeypatch, tiny_scale, small_pool, small_suite):
    """The tiny scale with a board, whose pool is the small one and whose suite has two tasks; return its test sets."""
    scale = tiny_scale.model_copy(update={"board": True})
    spec = declared_pools.load(scale.pool).model_copy(update={"uids_sha256": small_pool.record.uids_sha256})
    monkeypatch.setattr(scales, "load", lambda name: scale)
    monkeypatch.setattr(declared_pools, "load", lambda name: spec)
    monkeypatch.setattr(suites, "load", lambda name, version=None: small_suite[0])
    return small_suite[1]


def proposed(small_pool, tmp_path, **said):
    about = About(**{"method": "Random", "author": "Jane Doe"} | said)
    return submit.propose(tmp_path / "mine.npy", small_pool.path, scales.load("smoke"), about, tmp_path / "queue", track="filtering", external=("a CLIP",))


def test_a_list_goes_into_the_queue_with_its_record(tiny, small_pool, small_hub, tmp_path):
    apply("random", {"fraction": 0.35}, small_pool, tmp_path / "mine.npy")
    folder = proposed(small_pool, tmp_path)
    found, path = queue.read(folder)
    assert (found.proposed_by, found.scale, found.track, found.subset.samples) == ("Jane Doe", "smoke", "filtering", len(subsets.read(path).uids))
    assert found.subset.external_resources == ("a CLIP",)
    assert submit.hand_in(folder).pull.title == f"{found.id} Random"
    pull = small_hub.repositories[BOARD]["pulls"][0]
    assert pull["files"] == {f"leaderboard/queue/{found.id}/{name}": (folder / name).read_bytes() for name in ("queued.json", "list.npy", "list.json")}
    assert proposed(small_pool, tmp_path) == folder


def test_lists_that_cannot_be_entered_are_not_queued(tiny, small_pool, tmp_path):
    path = tmp_path / "mine.npy"
    subsets.write(path, [np.zeros(1, uids.UID)])
    with pytest.raises(SubsetError, match="are not in the pool"):
        proposed(small_pool, tmp_path)
    apply("random", {"fraction": 0.35}, small_pool, path)
    record = subsets.read(path).record
    record.model_copy(update={"ineligible": "made from the truth"}).write(subsets.sidecar(path))
    with pytest.raises(SubsetError, match="can be no entry: made from the truth"):
        proposed(small_pool, tmp_path)
    record.write(subsets.sidecar(path))
    with pytest.raises(StageError, match=r"queued\.json would make public an e-mail address"):
        proposed(small_pool, tmp_path, author="me@example.org")
    assert not (tmp_path / "queue").exists()
    assert proposed(small_pool, tmp_path).is_dir()


def test_a_list_of_another_pool_is_not_queued(tiny, small_pool, tmp_path, monkeypatch):
    apply("random", {"fraction": 0.35}, small_pool, tmp_path / "mine.npy")
    spec = declared_pools.load("smoke").model_copy(update={"uids_sha256": "0" * 64})
    monkeypatch.setattr(declared_pools, "load", lambda name: spec)
    with pytest.raises(SubsetError, match="is not the whole pool smoke"):
        proposed(small_pool, tmp_path)


def test_a_queued_list_that_was_changed_or_lies_elsewhere_is_not_run(tiny, small_pool, tmp_path):
    apply("random", {"fraction": 0.35}, small_pool, tmp_path / "mine.npy")
    folder = proposed(small_pool, tmp_path)
    apply("random", {"fraction": 0.2}, small_pool, folder / "list.npy")
    with pytest.raises(SubsetError, match=r"is not the list that queued\.json beside it names"):
        queue.read(folder)
    (folder / "list.npy").unlink()
    record = Queued.read(folder / "queued.json").model_copy(update={"list_at": "https://example.org/list.npy"})
    record.write(folder / "queued.json")
    with pytest.raises(SubsetError, match=r"lies at https://example\.org/list\.npy.*bring it to"):
        queue.read(folder)
    done = called("run", "--queued", tmp_path / "nowhere")
    assert "no list" in str(done.exception)
    done = called("run", "--queued", folder, "--author", "me")
    assert "the record of a queued list says its scale, list, method, author" in str(done.exception)


def walk_through():
    """The commands of the README's chapter "Handing in"."""
    chapter = README.read_text().partition("\n## Handing in\n")[2].partition("\n## ")[0]
    return re.findall(r"^    \.venv/bin/datacomp (.+)$", chapter, re.MULTILINE)


def test_the_readme_s_walk_through_ends_in_a_verified_entry_on_the_built_site(tiny, small_pool, small_hub, tmp_path, monkeypatch):
    """A list handed in by one, run by another, checked by a third: every command as it is printed, at a tiny scale, with the board's keepers between."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datacomp.toml").write_text(f'data = "{tiny}"\n')
    (tmp_path / "build" / "demo").mkdir(parents=True)
    (tmp_path / "build" / "demo" / "pool").symlink_to(small_pool.path)
    apply("random", {"fraction": 0.35}, small_pool, tmp_path / "build" / "mine.npy")
    commands = walk_through()
    assert {" ".join(command.split()[:2]).partition(" --")[0] for command in commands} >= {"submit list", "run", "submit prepare", "submit push", "board build"}
    said = []
    for command in commands:
        waiting = [path.name for path in (tmp_path / "build" / "queue").glob("*") if path.is_dir()]
        words = [word.replace("ID", *waiting).replace("OWNER/NAME", MINE) if waiting else word for word in shlex.split(command)]
        said.append(ended(*words, *(("--threads", 1) if words[0] == "run" else ())))
        if words[:2] == ["submit", "status"]:
            checkout(small_hub, tmp_path / "board")
    assert "FAIL" not in "".join(said)
    assert "pull request 2: merged" in ended("submit", "status", "build/bundle")

    board = page.build(tmp_path / "board" / "leaderboard" / "entries", tmp_path / "again")
    (listed,) = board.tables[0].listed
    entry = listed.entry
    assert board.left_out == ()
    assert (entry.method, entry.proposed_by, entry.run_by, listed.trust) == ("CLIP score, best 20 %", "me", "a laboratory", verify.ARTEFACTS_CHECKED)
    assert entry == Entry.read(tmp_path / "build" / "bundle" / "entry.json")
    own = Markup((tmp_path / "build" / "board" / "entries" / f"{listed.slug}.html").read_text()).text
    assert all(words in own for words in ("artefacts checked", "By a keeper", "run by a laboratory", "Loss in training"))
    sent = [small_hub.repositories[MINE]["files"], *(pull["files"] for pull in small_hub.repositories[BOARD]["pulls"])]
    assert not [name for files in sent for name, data in files.items() if str(tmp_path).encode() in data or str(small_pool.path).encode() in data]


def checkout(server, folder):
    """What the board's keepers do: merge what is open, and have it in a folder."""
    for pull in server.repositories[BOARD]["pulls"]:
        pull["status"] = "merged"
        for name, data in pull["files"].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
