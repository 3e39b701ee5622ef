"""What is measured otherwise than a suite says: own prompts and linear probes, which no score, average or entry ever gets to see."""

import io
import json
import pickle
import shutil

import evaluation_sets
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from sklearn.linear_model import LogisticRegression
from typer.testing import CliRunner

from datacomp import tars
from datacomp.artifacts import results as results_files
from datacomp.artifacts import run as runs
from datacomp.artifacts.run import Run
from datacomp.board import evaluated
from datacomp.cli import app
from datacomp.declared import suite as suites
from datacomp.errors import DatacompError, RecordError, StageError
from datacomp.evaluate import classification, features, probe, prompts, sets
from datacomp.evaluate import run as evaluation
from datacomp.evaluate import subject as subjects
from datacomp.evaluate.aside import How
from datacomp.evaluate.features import Features
from datacomp.evaluate.probe import Probed
from datacomp.evaluate.prompts import Prompted, Prompts

CAPTIONS = "retrieval/flickr_1k_test_image_text_retrieval"
KINDS = {name: evaluation_sets.KINDS[name] for name in ("cifar10", "fairness/geode", "fairness/fairface", CAPTIONS)} | {"vtab/pets": (4, 60)}
ONE = How(threads=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A suite of several families, the folder of its sets, and somebody's network. Pictures of vtab/pets show their classes, those of geode show nothing."""
    folder = tmp_path_factory.mktemp("asides")
    suite = evaluation_sets.small(suites.load("datacomp"), KINDS)
    data = evaluation_sets.make(folder / "data", suite)
    shown = data / by_name(suite, "vtab/pets").folder
    for split, count in (("test", 60), ("train", 80)):
        shutil.rmtree(shown / split, ignore_errors=True)
        write(shown, split, [(colours(label % 4, label), label % 4) for label in range(count)])
    drawn = data / by_name(suite, "fairness/geode").folder
    write(drawn, "train", [(colours(0, seed), seed % 3) for seed in range(30)])
    return suite, data, evaluation_sets.make_network(folder / "network")


def by_name(suite, name):
    return suite.chosen((name,))[0]


def colours(kind, seed):
    """A pattern of one of some kinds, with a little noise."""
    pattern = np.random.default_rng(kind).integers(0, 256, (4, 4, 3)) + np.random.default_rng([9, seed]).integers(-8, 8, (4, 4, 3))
    buffer = io.BytesIO()
    Image.fromarray(pattern.clip(0, 255).astype(np.uint8)).resize((32, 32), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def write(folder, split, samples):
    (folder / split).mkdir()
    with tars.TarWriter(folder / split / "0.tar") as writer:
        for place, (picture, label) in enumerate(samples):
            writer.add(f"s{place:05d}.cls", str(label).encode())
            writer.add(f"s{place:05d}.png", picture)
    (folder / split / "nshards.txt").write_text("1\n")


def subject(made, out, weights=None):
    return subjects.of_model(str(made[2][0]), weights or made[2][1], out)


def prompted(made, out, name="cifar10", templates=None, class_names=None):
    return prompts.evaluate(subject(made, out), by_name(made[0], name), Prompts(templates, class_names), made[1], how=ONE)


def probed(made, out, name="vtab/pets", weights=None):
    return probe.evaluate(subject(made, out, weights), by_name(made[0], name), made[1], how=ONE)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != ".lock"}


def datacomp(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def command(made, monkeypatch, tmp_path):
    """`datacomp evaluate` of somebody's network on the suite, into a folder."""
    suite, data, (config, weights) = made
    monkeypatch.setattr(suites, "load", lambda name: suite)
    given = ("evaluate", "--model", config, "--weights", weights, "--suite", "datacomp", "--data", data, "--out", tmp_path / "out", "--threads", 1)
    return lambda *arguments: datacomp(*given, *arguments)


# Own templates and class names


def test_the_set_s_own_prompts_give_the_suite_s_score_and_others_give_another(made, tmp_path):
    suite, data, (config, weights) = made
    for name in ("cifar10", "fairness/geode"):
        (scored,) = evaluation.evaluate_published(str(config), weights, suite, data, tmp_path / "suite", tasks=(name,), threads=1).tasks
        same, at = prompted(made, tmp_path / "out", name)
        assert (same.metrics, same.standard_errors, same.samples) == (scored.metrics, scored.standard_errors, scored.samples)
        other, other_at = prompted(made, tmp_path / "out", name, templates=("a {c}",))
        turned, turned_at = prompted(made, tmp_path / "out", name, class_names=same.class_names[::-1])
        assert (other.templates, turned.class_names) == (("a {c}",), same.class_names[::-1])
        assert len({json.dumps(found.metrics) for found in (same, other, turned)}) == 3
        assert len({at, other_at, turned_at}) == 3


def test_own_prompts_leave_the_suite_s_files_byte_for_byte(made, command, tmp_path):
    assert command("--tasks", "cifar10").exit_code == 0
    before = contents(tmp_path / "out")
    (tmp_path / "mine.txt").write_text("the {c}\nmany {c}\n")
    done = command("--tasks", "cifar10", "--templates", tmp_path / "mine.txt")
    assert done.exit_code == 0, done.exception
    assert "own prompts: 2 templates, 10 class names; no score of the suite" in done.output
    assert "average is" not in done.output
    after = contents(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    (added,) = set(after) - set(before)
    assert added.startswith("prompts-")
    assert Prompted.read(tmp_path / "out" / added).templates == ("the {c}", "many {c}")


def test_what_own_prompts_gave_is_kept_for_these_weights_alone(made, tmp_path, monkeypatch):
    found, path = prompted(made, tmp_path, templates=("a {c}",))
    with monkeypatch.context() as patch:
        patch.setitem(evaluation.FAMILIES, "classification", lambda model, test_set: pytest.fail("it was measured again"))
        assert prompted(made, tmp_path, templates=("a {c}",)) == (found, path)
    other = prompts.evaluate(subject(made, tmp_path, others(made, tmp_path)), by_name(made[0], "cifar10"), Prompts(("a {c}",), None), made[1], how=ONE)
    assert other[1] == path
    assert other[0].weights_sha256 != found.weights_sha256
    assert other[0].metrics != found.metrics


def others(made, folder):
    tensors = safetensors.numpy.load_file(made[2][1])
    safetensors.numpy.save_file(tensors | {"visual.proj": -tensors["visual.proj"]}, folder / "other.safetensors")
    return folder / "other.safetensors"


@pytest.mark.parametrize("name", ["prompts", "probe"])
def test_nothing_aside_is_read_as_a_result(made, tmp_path, name):
    _, path = prompted(made, tmp_path / "out") if name == "prompts" else probed(made, tmp_path / "out")
    with pytest.raises(RecordError, match="is no results record"):
        results_files.read(path)
    for folder in (path.parent, tmp_path / "out"):
        with pytest.raises(StageError, match="there are no results at"):
            evaluated.read(folder)


@pytest.mark.parametrize(
    ("option", "text", "task", "message"),
    [
        ("--templates", "a {c}\na class\n", "cifar10", r"mine\.txt line 2 lacks \{c\}"),
        ("--templates", "", "cifar10", r"mine\.txt is empty"),
        ("--templates", "\n\n", "cifar10", r"mine\.txt is empty"),
        ("--templates", b"\xff{c}", "cifar10", "is no text in UTF-8"),
        ("--templates", None, "cifar10", r"mine\.txt cannot be read: No such file"),
        ("--class-names", "cat\ndog\n", "cifar10", r"mine\.txt has 2 lines, task cifar10 has 10 classes"),
        ("--class-names", "cat\n\ndog\n", "cifar10", r"mine\.txt line 2 is empty"),
        ("--templates", "{c}", "cifar10,vtab/pets", "are for one task, --tasks names 2"),
        ("--templates", "{c}", "", "are for one task, --tasks names 0"),
        ("--templates", "{c}", CAPTIONS, "family retrieval, which has no classes"),
        ("--class-names", "cat", "fairness/fairface", "family faces, which has no classes"),
    ],
)
def test_prompts_that_cannot_be_a_task_s_are_refused_and_nothing_is_written(command, tmp_path, option, text, task, message):
    if text is not None:
        (tmp_path / "mine.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    done = command("--tasks", task, option, tmp_path / "mine.txt")
    assert isinstance(done.exception, DatacompError)
    assert done.exit_code == 1
    with pytest.raises(DatacompError, match=message):
        raise done.exception
    assert not (tmp_path / "out").exists()


def test_a_text_with_a_byte_order_mark_names_the_same_classes(made, tmp_path):
    names = tuple(f"thing {place}" for place in range(10))
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n", encoding="utf-8-sig")
    assert prompts.read(by_name(made[0], "cifar10"), None, tmp_path / "names.txt") == (None, names)


# Linear probes


def points(labels, spread, seed=0, size=64):
    """Unit vectors around one centre a class."""
    random = np.random.default_rng(seed)
    vectors = np.random.default_rng(5).standard_normal((10, size))[labels] + spread * random.standard_normal((len(labels), size))
    return Features((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels)


def accuracy(train, test, strength):
    return (probe.fit(train, 10, strength).scores(test.vectors).argmax(axis=1) == test.labels).mean()


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_features_that_separate_give_all_and_noise_gives_chance(classes):
    few, many = np.arange(200) % classes, np.arange(1000) % classes
    train, test = points(few, 0.2), points(many, 0.2, seed=1)
    assert accuracy(train, test, probe.choose(train, 10).strength) == 1
    noise, more = points(few, 1e6), points(many, 1e6, seed=1)
    assert abs(accuracy(noise, more, probe.choose(noise, 10).strength) - 1 / classes) < 0.08


@pytest.mark.parametrize("classes", [2, 4])
def test_the_regression_is_the_library_s_and_classes_without_samples_are_never_named(classes):
    train = points(np.arange(60) % classes, 1)
    expected = LogisticRegression(C=0.5, max_iter=1000, tol=1e-8).fit(train.vectors.astype(np.float64), train.labels)
    shifted = probe.fit(train._replace(labels=train.labels + 3), 10, 2.0).scores(train.vectors)
    assert shifted.shape == (60, 10)
    assert (shifted.argmax(axis=1) == expected.predict(train.vectors.astype(np.float64)) + 3).all()
    assert (shifted[:, :3] == -np.inf).all()


def test_the_strength_is_chosen_on_samples_that_are_held_out():
    """One label in five is wrong: with little penalty the regression follows them, with much it names the most common class."""
    random = np.random.default_rng(2)
    train, test = (points(np.where(np.arange(count) % 3 == 0, 0, np.arange(count) // 2 % 9 + 1), 1, seed) for seed, count in enumerate((300, 2000)))
    train = train._replace(labels=np.where(random.random(300) < 0.2, random.integers(0, 10, 300), train.labels))
    chosen = probe.choose(train, 10)
    little, much = (accuracy(train, test, strength) for strength in (1e-6, 1e6))
    assert accuracy(train, test, chosen.strength) > 0.95
    assert little < 0.85
    assert much < 0.4
    held = probe.held_out(train.labels)
    rest, validation = (Features(train.vectors[part], train.labels[part]) for part in (~held, held))
    assert chosen.validation_acc1 == accuracy(rest, validation, chosen.strength)
    assert chosen.validation_samples == held.sum()


def test_the_sweep_finds_the_peak_to_an_eighth_of_a_decade_and_of_equals_takes_the_strongest():
    asked = []

    def quality(place):
        asked.append(place)
        return -abs(place - 13)

    assert probe.sweep(quality) == (13, 0)
    assert len(asked) == len(set(asked)) == 15
    assert set(asked[:7]) == set(range(-48, 49, 16))
    assert probe.sweep(lambda place: 1.0) == (48, 1.0)
    assert probe.sweep(lambda place: -place) == (-48, 48)
    assert [probe.strength(place) for place in (-48, 0, 48)] == pytest.approx([1e-6, 1, 1e6])


def test_every_fifth_sample_of_each_class_is_held_out():
    """Also where classes take turns, so that every fifth sample of all would be of one class."""
    for labels in (np.arange(50) % 5, np.arange(50) // 10):
        assert np.bincount(labels[probe.held_out(labels)]).tolist() == [2] * 5
    assert not probe.held_out(np.arange(20) // 4).any()


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 1, 2, 3], "the training split has 4 samples"), ([1] * 10, "samples of one class only")], ids=["few", "one class"]
)
def test_training_splits_that_nothing_can_be_learnt_from_are_refused(labels, message):
    with pytest.raises(StageError, match=message):
        probe.choose(points(np.array(labels), 1), 4)


def test_a_probe_of_pictures_that_show_their_classes_finds_all_and_one_of_noise_does_not(made, tmp_path):
    found, path = probed(made, tmp_path)
    assert (found.metrics, found.samples) == ({"acc1": 1.0, "acc5": None, "mean_per_class_recall": 1.0}, 60)
    assert (found.train_samples, found.validation_samples, found.validation_acc1) == (80, 16, 1.0)
    assert Probed.read(path) == found
    noise, _ = probed(made, tmp_path, "fairness/geode")
    assert noise.metrics["acc1"] < 0.6


def test_features_are_computed_once_and_those_of_other_weights_or_pictures_are_never_taken(made, tmp_path, monkeypatch):
    computed = []
    real = classification.embed
    monkeypatch.setattr(classification, "embed", lambda model, test_set, classes: (computed.append(test_set.split), real(model, test_set, classes))[1])
    found, path = probed(made, tmp_path)
    probed(made, tmp_path)
    path.unlink()
    assert probed(made, tmp_path)[0] == found
    assert computed == ["train", "test"]
    path.unlink()
    (path.with_suffix("") / "train.npy").write_bytes(b"cut off")
    assert probed(made, tmp_path)[0] == found
    assert computed == ["train", "test", "train"]
    assert probed(made, tmp_path, weights=others(made, tmp_path))[0].weights_sha256 != found.weights_sha256
    assert computed[3:] == ["train", "test"]
    suite, data, network = made
    shutil.copytree(data, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / path.stem / "train")
    write(tmp_path / "data" / path.stem, "train", [(colours(number % 4, number), number % 4) for number in range(40)])
    again, _ = probed((suite, tmp_path / "data", network), tmp_path, weights=tmp_path / "other.safetensors")
    assert (again.train_samples, computed[5:]) == (40, ["train"])
    kept = np.load(path.with_suffix("") / "train.npy", allow_pickle=False)
    assert np.linalg.norm(kept["vector"], axis=1) == pytest.approx(1, abs=1e-5)
    assert features.FeaturesRecord.read(path.with_suffix("") / "train.json").weights_sha256 == again.weights_sha256


def test_a_killed_probe_goes_on_from_the_features_that_were_kept(made, tmp_path, stopped):
    with stopped(publishes=2):
        probed(made, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*.json")] == ["train.json"]
    assert probed(made, tmp_path / "out")[0] == probed(made, tmp_path / "undisturbed")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tasks", "cifar10"), "has no training split; datacomp evalsets download brings test sets only. Allowed: train/nshards.txt"),
        (("--tasks", "cifar10"), "--split train --from PICTURES --task cifar10"),
        (("--tasks", CAPTIONS), "family retrieval, which has no classes"),
        (("--tasks", "vtab/pets,cifar10"), "has no training split"),
        ((), "--probe came without tasks"),
        (("--tasks", "vtab/pets", "--templates", "x"), "--probe came with prompts"),
    ],
)
def test_tasks_that_cannot_be_probed_are_refused_before_anything_is_measured(command, tmp_path, arguments, message):
    done = command("--probe", *arguments)
    assert isinstance(done.exception, DatacompError)
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda train: (train / "0.tar").unlink(), r"lacks train/0\.tar"),
        (lambda train: (train / "nshards.txt").write_text("x"), r"train/nshards\.txt says 'x'"),
        (lambda train: (shutil.rmtree(train), write(train.parent, "train", [(colours(0, 0), 7)] * 9)), "has labels outside its 4 classes"),
    ],
    ids=["tar", "number", "label"],
)
def test_a_training_split_that_does_not_hold_is_named(made, tmp_path, spoil, message):
    suite, data, network = made
    folder = tmp_path / "data" / by_name(suite, "vtab/pets").folder
    shutil.copytree(data / folder.name, folder)
    spoil(folder / "train")
    with pytest.raises(StageError, match=message):
        probed((suite, tmp_path / "data", network), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.json"))


def test_the_command_probes_and_leaves_the_suite_s_files_byte_for_byte(command, tmp_path):
    assert command("--tasks", "vtab/pets").exit_code == 0
    before = contents(tmp_path / "out")
    done = command("--tasks", "vtab/pets,fairness/geode", "--probe")
    assert done.exit_code == 0, done.exception
    assert "linear probe: 80 training samples" in done.output
    assert done.output.count("no score of the suite") == 2
    after = contents(tmp_path / "out")
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in set(after) - set(before)} == {"probe"}


def test_every_checkpoint_of_a_run_is_probed_beside_its_own_results(made, tiny_run, tiny_scale, tmp_path, monkeypatch):
    run = Run(shutil.copytree(tiny_run.path, tmp_path / "run"), tiny_run.record, tiny_run.digest)
    monkeypatch.setattr(suites, "load", lambda name: made[0])
    monkeypatch.setattr(runs.Inputs, "recipe", lambda self: tiny_scale)
    done = datacomp("evaluate", "--run", run.path, "--checkpoint", "all", "--data", made[1], "--tasks", "vtab/pets", "--probe", "--threads", 1)
    assert done.exit_code == 0, done.exception
    found = {path.parent.parent.name: Probed.read(path).weights_sha256 for path in run.path.rglob("probe/*.json")}
    first, second, last = run.record.checkpoints
    assert found == {f"step_{first.step:08d}": first.sha256, f"step_{second.step:08d}": second.sha256, "evaluation": last.sha256}
    assert not list((run.path / "evaluation").glob("*.json"))


class Away:
    """Whoever does tasks elsewhere: they get there as bytes."""

    most_tasks = 3

    def map(self, function, tasks):
        return (function(pickle.loads(pickle.dumps(task))) for task in tasks)


def test_jobs_elsewhere_find_the_same(made, tmp_path):
    suite, data, _ = made
    own = Prompts(("a {c}",), None)
    for out, workers in ((tmp_path / "here", None), (tmp_path / "away", Away())):
        prompts.evaluate(subject(made, out), by_name(suite, "cifar10"), own, data, how=ONE, workers=workers)
        probe.evaluate(subject(made, out), by_name(suite, "vtab/pets"), data, how=ONE, workers=workers)
    assert contents(tmp_path / "here") == contents(tmp_path / "away")


def test_a_test_set_that_is_not_there_is_named_as_such(made, tmp_path):
    with pytest.raises(StageError, match="there is no test set at"):
        probed((made[0], tmp_path, made[2]), tmp_path / "out")


# Training splits


@pytest.fixture
def unpacked(made, tmp_path):
    """Pictures in a folder for each class of vtab/pets, and a copy of its test set alone."""
    suite, data, _ = made
    task = by_name(suite, "vtab/pets")
    shutil.copytree(data / task.folder, tmp_path / "data" / task.folder, ignore=shutil.ignore_patterns("train"))
    names = sets.read(tmp_path / "data", task).class_names
    for label, name in enumerate(names):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for seed in range(3):
            (tmp_path / "pictures" / name / f"{seed}.png").write_bytes(colours(label, seed))
    return tmp_path / "pictures", task, tmp_path / "data"


def convert(unpacked, *more):
    source, task, data = unpacked
    return datacomp("evalsets", "convert", "--from", source, "--task", task.name, "--out", data, "--split", "train", *more)


def test_folders_of_pictures_become_a_training_split_whose_labels_are_the_test_set_s(made, unpacked, monkeypatch):
    """The folders' names are those of the classes, which are not sorted."""
    monkeypatch.setattr(suites, "load", lambda name: made[0])
    _, task, data = unpacked
    before = contents(data)
    done = convert(unpacked)
    assert "training split in" in done.output, done.exception
    found = [(sets.label(sample), sample.picture) for sample in sets.samples(sets.read_train(data / task.folder))]
    assert found == [(label, colours(label, seed)) for label in range(4) for seed in range(3)]
    assert {name: text for name, text in contents(data).items() if "/train/" not in name} == before
    assert "holds something" in str(convert(unpacked).exception)


def test_folders_of_other_names_are_the_classes_in_their_order(made, unpacked, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: made[0])
    source, task, data = unpacked
    for place, name in enumerate(sets.read(data, task).class_names):
        (source / name).rename(source / f"n{place}")
    assert convert(unpacked).exit_code == 0
    assert [sets.label(sample) for sample in sets.samples(sets.read_train(data / task.folder))] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3


@pytest.mark.parametrize(
    ("spoil", "more", "message"),
    [
        (lambda source, data: shutil.rmtree(next(source.iterdir())), (), "holds 3 folders. Allowed: one for each of the 4 classes"),
        (lambda source, data: shutil.rmtree(data), (), "there is no test set at"),
        (lambda source, data: (next(source.iterdir()) / "x.png").write_bytes(b"GIF89a"), (), "is no picture"),
        (lambda source, data: None, ("--task", CAPTIONS), "sets of family retrieval have no training split"),
        (lambda source, data: None, ("--split", "val"), "--split val came. Allowed: test, train"),
    ],
    ids=["folders", "no test set", "no picture", "family", "split"],
)
def test_what_is_no_training_split_leaves_nothing(made, unpacked, monkeypatch, spoil, more, message):
    monkeypatch.setattr(suites, "load", lambda name: made[0])
    spoil(unpacked[0], unpacked[2])
    assert message in str(convert(unpacked, *more).exception)
    assert not list(unpacked[2].rglob("train"))
