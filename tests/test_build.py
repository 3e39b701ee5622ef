"""One's own pictures become a pool like any other: every sample is kept or dropped for a reason, and the originals are not touched."""

import hashlib
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from folders import content
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from datacomp import cli, tables, uids
from datacomp.artifacts import pool as pools
from datacomp.declared import scale as scales
from datacomp.errors import DatacompError, PoolError, RecordError, StageError, TarError
from datacomp.filters.apply import apply
from datacomp.network import choose, published
from datacomp.network.embed import Embedder, decode
from datacomp.pool import pairs
from datacomp.pool.build import build, plan
from datacomp.pool.pairs import Reason
from datacomp.reshard.run import Form, reshard
from datacomp.train.hardware import Hardware
from datacomp.train.run import train

TESTS = Path(__file__).parent
GIVEN = "0123456789abcdef" * 2


def picture(number=0, kind="JPEG", size=(40, 30), mode="RGB"):
    colours = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).resize(size).convert(mode).save(buffer, kind)
    return buffer.getvalue()


def write_tar(path, members):
    """Members are (name, bytes), or (name, bytes, type) for what is no regular file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data, *kind in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if kind:
                info.type, info.size, info.linkname = kind[0], 0, "/etc/passwd"
            tar.addfile(info, io.BytesIO(data))
    return path


def pair(key, number=0, caption="a picture", /, **about):
    return [(f"{key}.jpg", picture(number)), (f"{key}.txt", caption.encode()), *([(f"{key}.json", json.dumps(about).encode())] if about else [])]


def plain(folder, tars=3, samples=5):
    """Tars of sound pairs."""
    for tar in range(tars):
        numbers = range(tar * samples, (tar + 1) * samples)
        write_tar(folder / f"mine-{tar}.tar", [member for n in numbers for member in pair(f"k{n}", n, f"picture number {n}")])
    return folder


def ledger(pool, stem="00000000"):
    return tables.read_parquet(pool.path / "sources" / f"{stem}.parquet")


def dropped(pool):
    """The reasons by key, of all tars."""
    return {row["key"]: row["dropped"] for path in sorted((pool.path / "sources").glob("*.parquet")) for row in tables.read_parquet(path).to_dicts()}


def one(tmp_path, members, networks=()):
    """The pool of a single tar."""
    write_tar(tmp_path / "in" / "a.tar", members)
    return build(tmp_path / "in", tmp_path / "out", networks=networks, workers=1)


def members(path):
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


@pytest.fixture(scope="module")
def references():
    return choose.choose([])


@pytest.fixture(scope="module")
def built(tmp_path_factory, references):
    folder = tmp_path_factory.mktemp("own")
    return build(plain(folder / "in"), folder / "out", networks=references, name="mine", workers=1)


def test_the_pool_has_commonpool_s_columns_and_features(built, small_pool):
    frames = [tables.read_parquet(pool.metadata("00000000")) for pool in (built, small_pool)]
    assert dict(frames[0].schema) == dict(frames[1].schema)
    for key in ("b32_img", "b32_txt", "l14_img", "l14_txt"):
        array = tables.read_npz(built.features("00000000"), key)
        assert (array.shape, array.dtype) == ((5, 64), np.float16)


def test_scores_are_those_of_the_network_row_for_row(built, references):
    for stem in built.stems:
        frame = tables.read_parquet(built.metadata(stem))
        found = members(built.path / "shards" / f"{stem}.tar")
        pictures = [data for name, data in found.items() if name.endswith(".jpg")]
        for network in references:
            loaded = choose.load(network, "cpu")
            images, texts = loaded.images(np.stack([loaded.crop(data) for data in pictures])), loaded.texts(frame["text"].to_list())
            assert frame[f"clip_{network.prefix}_similarity_score"].to_numpy() == pytest.approx((images * texts).sum(axis=1), abs=1e-6)
            assert np.array_equal(tables.read_npz(built.features(stem), f"{network.prefix}_img"), images.astype(np.float16))


def test_the_record_says_where_everything_comes_from(built, references):
    record = built.record
    assert (record.name, record.samples, record.partial) == ("mine", 15, False)
    assert record.networks == {network.prefix: network.sha256 for network in references}
    assert record.built.networks == {"b32": "reference nano", "l14": "reference nano"}
    assert record.built.sources == ("mine-0.tar", "mine-1.tar", "mine-2.tar")
    assert (record.built.found_samples, record.built.dropped_samples) == (15, {})
    assert record.uids_sha256 == uids.digest_of(pools.all_uids(built))
    assert not (built.path / "index").exists()


def test_pictures_and_captions_are_copied_unchanged_and_the_originals_stay(tmp_path):
    folder = plain(tmp_path / "in", tars=1)
    before = content(folder)
    made = build(folder, tmp_path / "out", networks=(), workers=1)
    assert content(folder) == before
    source, copied = members(folder / "mine-0.tar"), members(made.tars()[0])
    for number in range(5):
        key = f"00000000{number:06d}"
        assert (copied[f"{key}.jpg"], copied[f"{key}.txt"]) == (source[f"k{number}.jpg"], source[f"k{number}.txt"])
        about = json.loads(copied[f"{key}.json"])
        assert (about["uid"], about["url"], about["caption"]) == (ledger(made)["uid"][number], f"mine-0.tar#k{number}", f"picture number {number}")


def test_the_uid_is_the_documented_hash(tmp_path):
    made = one(tmp_path, pair("a", 3, "naïve"))
    inner = hashlib.sha256(picture(3)).digest()
    frame = tables.read_parquet(made.metadata("00000000"))
    assert frame["sha256"][0] == inner.hex()
    assert frame["uid"][0] == hashlib.sha256(inner + "naïve".encode()).hexdigest()[:32]


def test_a_valid_uid_of_the_json_is_kept_and_another_is_replaced(tmp_path):
    bad = (GIVEN.upper(), GIVEN[:31], 7, None, ["x"], GIVEN + "\n")
    made = one(tmp_path, [*pair("good", 0, uid=GIVEN, licence="CC0"), *(member for n, uid in enumerate(bad, 1) for member in pair(f"k{n}", n, uid=uid))])
    frame = ledger(made)
    assert frame["uid"][0] == GIVEN
    assert made.record.built.given_uids == 1
    assert frame["uid"].to_list()[1:] == [hashlib.sha256(hashlib.sha256(picture(n)).digest() + b"a picture").hexdigest()[:32] for n in range(1, 7)]
    about = json.loads(members(made.tars()[0])["00000000000000.json"])
    assert (about["uid"], about["licence"]) == (GIVEN, "CC0")


def test_what_the_json_says_of_size_address_and_faces_is_believed_where_it_makes_sense(tmp_path):
    said = {"original_width": 800, "original_height": 600, "url": "https://example.org/a.jpg", "face_bboxes": [[0.1, 0.2, 0.3, 0.4]]}
    odd = {"original_width": True, "original_height": -1, "url": 5, "face_bboxes": [[1, 2], "x"]}
    made = one(tmp_path, [*pair("a", 0, **said), *pair("b", 1, **odd), *pair("c", 2, original_width=10**30, original_height=1, face_bboxes=[[10**400] * 4])])
    frame = tables.read_parquet(made.metadata("00000000"))
    assert frame.select("original_width", "original_height").rows() == [(800, 600), (40, 30), (40, 30)]
    assert frame["url"].to_list() == ["https://example.org/a.jpg", "a.tar#b", "a.tar#c"]
    assert frame["face_bboxes"].to_list() == [[[0.1, 0.2, 0.3, 0.4]], [], []]


MODES = [("JPEG", mode) for mode in ("1", "L", "RGB", "CMYK")] + [(kind, mode) for kind in ("PNG", "WEBP") for mode in ("1", "L", "RGB", "RGBA", "P")]


@pytest.mark.parametrize(("kind", "mode"), MODES)
def test_every_format_and_mode_is_embedded(tmp_path, references, kind, mode):
    made = one(tmp_path, [("a.png", picture(0, kind, mode=mode)), ("a.txt", b"x")], references[:1])
    assert made.record.samples == 1


def test_a_caption_in_the_json_will_do_and_a_txt_wins(tmp_path):
    made = one(tmp_path, [("a.JPEG", picture()), ("a.json", b'{"caption": "from json"}'), *pair("b", 1, "from txt", caption="from json")])
    assert tables.read_parquet(made.metadata("00000000"))["text"].to_list() == ["from json", "from txt"]
    assert "00000000000000.jpeg" in members(made.tars()[0])


CUT = picture()[:200]
BAD = {
    Reason.NO_PICTURE: [("x.txt", b"only words")],
    Reason.SEVERAL_PICTURES: [*pair("x", 90), ("x.png", picture(1, "PNG"))],
    Reason.MEMBER_TWICE: [*pair("x", 90), ("x.JPG", picture(91))],
    Reason.BROKEN_PICTURE: [("x.jpg", CUT), ("x.txt", b"cut")],
    Reason.EXTREME_SHAPE: [("x.png", picture(0, "PNG", (1001, 1))), ("x.txt", b"a line")],
    Reason.NO_CAPTION: [("x.jpg", picture(90)), ("x.json", b'{"caption": ["no", "text"]}')],
    Reason.EMPTY_CAPTION: pair("x", 90, " \n\t"),
    Reason.LONG_CAPTION: pair("x", 90, "word " * 20_000),
    Reason.NO_TEXT: [("x.jpg", picture(90)), ("x.txt", b"\xff\xfe")],
    Reason.BROKEN_JSON: [*pair("x", 90), ("x.json", b'{"caption": ')],
    Reason.DUPLICATE: pair("x", 1, "the first"),
    Reason.UID_TAKEN: pair("x", 90, uid=GIVEN),
}
MORE_BAD = [
    (Reason.BROKEN_PICTURE, [("x.jpg", b""), ("x.txt", b"empty")]),
    (Reason.BROKEN_PICTURE, [("x.jpg", b"<svg onload=alert(1)>"), ("x.txt", b"no picture")]),
    (Reason.BROKEN_PICTURE, [("x.jpg", picture(0, "GIF")), ("x.txt", b"a format that is not read")]),
    (Reason.NO_PICTURE, [("x.jpg", b"", tarfile.SYMTYPE), ("x.txt", b"a link")]),
    (Reason.NO_PICTURE, [("x.pkl", pickle.dumps(1)), ("x.txt", b"a pickle")]),
    (Reason.BROKEN_JSON, [*pair("x", 90), ("x.json", b"[1]")]),
    (Reason.BROKEN_JSON, [*pair("x", 90), ("x.json", b'{"a": NaN}')]),
    (Reason.BROKEN_JSON, [*pair("x", 90), ("x.json", b'{"a": 1e999}')]),
    (Reason.BROKEN_JSON, [*pair("x", 90), ("x.json", b"[" * 100_000)]),
    (Reason.BROKEN_JSON, [*pair("x", 90), ("x.json", b'"' + b"a" * (1 << 20) + b'"')]),
    (Reason.NO_TEXT, [("x.jpg", picture(90)), ("x.json", b'{"caption": "\\ud800"}')]),
    (Reason.LONG_CAPTION, [("x.jpg", picture(90)), ("x.json", json.dumps({"caption": "é" * 40_000}).encode())]),
]


@pytest.mark.parametrize(("reason", "bad"), [*BAD.items(), *MORE_BAD], ids=lambda value: value.name if isinstance(value, Reason) else "")
def test_what_is_no_pair_is_dropped_for_its_reason(tmp_path, reason, bad):
    made = one(tmp_path, [*pair("first", 1, "the first"), *pair("given", 2, uid=GIVEN), *bad])
    assert dropped(made) == {"first": None, "given": None, "x": reason}
    assert made.record.built.dropped_samples == {str(reason): 1}
    assert made.record.built.found_samples == 3 == made.record.samples + 1
    stats = json.loads((made.path / "shards" / "00000000_stats.json").read_text())
    assert (stats["count"], stats["successes"], stats["status_dict"]) == (3, 2, {"success": 2, str(reason): 1})


def test_every_reason_is_tried():
    assert set(BAD) == set(Reason) - {Reason.LARGE_PICTURE}


def test_a_picture_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pairs, "MAX_PICTURE_BYTES", len(picture(1)) - 1)
    made = one(tmp_path, [*pair("large", 1), ("small.png", picture(0, "PNG", (2, 2))), ("small.txt", b"small")])
    assert dropped(made) == {"large": Reason.LARGE_PICTURE, "small": None}


def test_a_duplicate_in_another_tar_is_dropped_and_the_first_in_order_stays(tmp_path):
    write_tar(tmp_path / "in" / "b.tar", [*pair("k", 5), *pair("own", 6), *pair("k2", 7, uid=GIVEN)])
    write_tar(tmp_path / "in" / "a.tar", [*pair("first", 5), *pair("first2", 8, uid=GIVEN)])
    made = build(tmp_path / "in", tmp_path / "out", networks=(), workers=1)
    assert dropped(made) == {"first": None, "first2": None, "k": Reason.DUPLICATE, "own": None, "k2": Reason.UID_TAKEN}
    reshard(made, apply("no_filter", {}, made, tmp_path / "list.npy"), tmp_path / "shards", Form(10))  # it refuses a uid that stands twice


def test_members_that_a_pool_does_not_have_are_left_out_unopened_and_counted(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    made = one(tmp_path, [*pair("a"), ("a.pkl", pickle.dumps(Evil())), ("a.pyd", b"x"), ("a.seg.png", b"y"), ("a.cls", b"3")])
    assert made.record.built.left_out_members == 4
    assert sorted(name.split(".", 1)[1] for name in members(made.tars()[0])) == ["jpg", "json", "txt"]
    assert not (tmp_path / "ran").exists()


def test_unsafe_names_are_labels_and_get_safe_ones(tmp_path):
    names = ["../../escaped", "/absolute", "a\nb", "\udcff", "._mac", "."]
    made = one(tmp_path, [member for n, name in enumerate(names) for member in pair(name, n)])
    assert all(name.split(".")[0].isdigit() for name in members(made.tars()[0]))
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert made.record.samples == 4  # what begins with a point has no key and several extensions
    assert "\\udcff" in dropped(made)


def test_an_empty_tar_makes_no_file_and_the_others_keep_their_numbers(tmp_path, references):
    write_tar(tmp_path / "in" / "a.tar", [])
    write_tar(tmp_path / "in" / "b.tar", pair("k"))
    write_tar(tmp_path / "in" / "c.tar", [("x.jpg", CUT), ("x.txt", b"cut")])
    made = build(tmp_path / "in", tmp_path / "out", networks=references, workers=1)
    assert made.stems == ("00000001",) == tuple(file.stem for file in made.record.files)
    assert [path.name for path in made.tars()] == ["00000001.tar"]
    assert made.record.built.dropped_samples == {str(Reason.BROKEN_PICTURE): 1}


@pytest.mark.parametrize("keep", [0, 300, 3000])
def test_a_tar_that_is_cut_off_is_an_error_that_names_it_before_anything_is_made(tmp_path, keep):
    folder = plain(tmp_path / "in")
    broken = folder / "mine-1.tar"
    broken.write_bytes(broken.read_bytes()[:keep])
    with pytest.raises(TarError, match=r"mine-1\.tar"):
        build(folder, tmp_path / "out", networks=(), workers=1)
    assert not list((tmp_path / "out").rglob("*.tar"))


def test_a_compressed_tar_is_an_error(tmp_path):
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "a.tar", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.txt" + "x" * 2000))
    (tmp_path / "in" / "a.tar").write_bytes((tmp_path / "in" / "a.tar").read_bytes() + bytes(1024))
    with pytest.raises(TarError, match="no tar"):
        build(tmp_path / "in", tmp_path / "out", networks=(), workers=1)


def test_a_folder_without_tars_is_an_error(tmp_path):
    with pytest.raises(PoolError, match=r"holds no \*\.tar"):
        build(tmp_path, tmp_path / "out", networks=())


def test_where_nothing_is_left_there_is_no_pool(tmp_path):
    with pytest.raises(PoolError, match="nothing is left of 1 samples"):
        one(tmp_path, [("a.jpg", CUT), ("a.txt", b"cut")])
    assert not (tmp_path / "out" / "pool.json").exists()


def test_a_pool_does_not_depend_on_the_number_of_processes(tmp_path, built, references):
    build(built.path.parent / "in", tmp_path / "out", networks=references, name="mine", workers=2)
    assert content(tmp_path / "out") == content(built.path)


@pytest.mark.parametrize("publishes", [0, 1, 3, 4, 5, 9, 12, 18, 19])
def test_a_pool_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, built, references, stopped, publishes):
    folder = built.path.parent / "in"
    with stopped(publishes):
        build(folder, tmp_path / "out", networks=references, name="mine", workers=1)
    with pytest.raises(PoolError):
        pools.read(tmp_path / "out")
    build(folder, tmp_path / "out", networks=references, name="mine", workers=1)
    assert content(tmp_path / "out") == content(built.path)


def test_a_finished_pool_is_not_made_again(tmp_path, built, references, monkeypatch):
    monkeypatch.setattr(choose, "load", None)
    again = build(built.path.parent / "in", built.path, networks=references, name="mine", workers=1)
    assert again.record == built.record


def test_another_pool_does_not_go_into_the_same_folder(tmp_path, built, references):
    folder = built.path.parent / "in"
    for other in ({"networks": references[:1], "name": "mine"}, {"networks": references}):
        with pytest.raises(PoolError, match="holds a pool of other tars, networks or another name"):
            build(folder, built.path, workers=1, **other)
    with pytest.raises(PoolError, match="holds a pool of other tars"):
        build(plain(tmp_path / "in", tars=1), built.path, networks=references, name="mine", workers=1)


def test_a_folder_of_somebody_else_s_and_the_originals_own_are_refused(tmp_path, small_pool):
    plain(tmp_path / "pool" / "shards", tars=1)
    before = content(tmp_path)
    with pytest.raises(PoolError, match="already holds shards"):
        build(tmp_path / "pool" / "shards", tmp_path / "pool", networks=(), workers=1)
    with pytest.raises(PoolError, match="is where the originals are"):
        build(tmp_path / "pool" / "shards", tmp_path / "pool" / "shards", networks=(), workers=1)
    assert content(tmp_path) == before
    with pytest.raises(PoolError, match="other tars"):
        build(tmp_path / "pool" / "shards", small_pool.path, networks=(), workers=1)


def test_a_name_that_is_promised_to_another_pool_is_refused(tmp_path):
    with pytest.raises(PoolError, match="is the name of a pool of tracks/pools/"):
        build(plain(tmp_path / "in"), tmp_path / "out", networks=(), name="nano")
    with pytest.raises(RecordError, match="name"):
        build(plain(tmp_path / "in"), tmp_path / "out", networks=(), name="a\nb")


def test_originals_that_change_meanwhile_are_an_error(tmp_path, stopped):
    folder = plain(tmp_path / "in", tars=1)
    with stopped(2):
        build(folder, tmp_path / "out", networks=(), workers=1)
    tar = folder / "mine-0.tar"
    tar.write_bytes(tar.read_bytes().replace(b"picture number 3", b"picture number X"))
    with pytest.raises(PoolError, match="was changed while it was read"):
        build(folder, tmp_path / "out", networks=(), workers=1)


def test_a_dry_run_counts_and_writes_nothing(tmp_path):
    folder = plain(tmp_path / "in")
    write_tar(folder / "z.tar", [*pair("again", 0, "picture number 0"), ("x.txt", b"alone")])
    planned = plan(folder, tmp_path / "out", networks=(), workers=1)
    assert planned == (4, 0, 17, {str(Reason.DUPLICATE): 1, str(Reason.NO_PICTURE): 1})
    assert not (tmp_path / "out").exists()
    build(folder, tmp_path / "out", networks=(), workers=1)
    assert plan(folder, tmp_path / "out", networks=(), workers=1).done == 4


def test_the_whole_chain_runs_on_one_s_own_pictures(tmp_path, references, tiny_scale):
    made = build(plain(tmp_path / "in", tars=2, samples=20), tmp_path / "out", networks=references, workers=1)
    filters = {"no_filter": {}, "random": {"fraction": 0.5}, "clip_score": {"fraction": 0.5}, "basic_filter": {"language_model": "ftz"}}
    for name, options in filters.items():
        if name == "basic_filter":
            with pytest.raises(DatacompError, match="the list would be empty"):  # every picture is small
                apply(name, options, made, tmp_path / f"{name}.npy")
            continue
        listed = apply(name, options, made, tmp_path / f"{name}.npy")
        shards = reshard(made, listed, tmp_path / name, Form(tiny_scale.sampling.shard_samples))
        assert (shards.record.pool, shards.record.missing_samples) == ("own", {})
    assert train(tiny_scale, (shards,), tmp_path / "run", hardware=Hardware(workers=0)).record.inputs.sources[0].pool == "own"


# Networks


def test_a_prefix_has_its_reference_unless_another_network_or_none_is_named(tmp_path):
    assert [(network.prefix, network.kind) for network in choose.choose(["l14=none"])] == [("b32", "reference")]
    assert choose.choose(["l14=none", "b32=none"]) == ()
    made = build(plain(tmp_path / "in", tars=1), tmp_path / "out", networks=(), workers=1)
    assert not made.features("00000000").exists()
    assert "clip_l14_similarity_score" not in tables.read_parquet(made.metadata("00000000")).columns


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (["l15=reference"], "--network l15=reference came"),
        (["reference"], "--network reference came"),
        (["l14="], "--network l14= came"),
        (["l14=none", "l14=reference"], "for a prefix that was named before"),
        (["l14=nowhere"], "there is no folder nowhere"),
        (["l14=nothing-known:weights.safetensors"], "is no architecture of open_clip"),
        (["l14=ViT-B-32/nobody:weights.safetensors"], "open_clip knows no weights 'nobody'"),
        (["l14=ViT-B-32:nowhere.safetensors"], "there are no weights at nowhere.safetensors"),
        (["l14=ViT-B-16-SigLIP:w.safetensors"], "its tokenizer would have to be downloaded"),
        (["l14=coca_ViT-B-32:w.safetensors"], "is not CLIP"),
        (["l14=ViT-H-14-378-quickgelu/dfn5b:w.safetensors"], "squeezed to a square"),
    ],
)
def test_a_network_that_is_none_is_refused_at_once(wishes, said):
    with pytest.raises(StageError, match=said):
        choose.choose(wishes)


def test_a_run_of_one_s_own_is_a_network(tmp_path, small_shards, monkeypatch):
    short = _short(scales.load("smoke"))
    run = train(short, (small_shards,), tmp_path / "run", hardware=Hardware(workers=0))
    with pytest.raises(StageError, match="trained by another recipe"):
        choose.choose([f"l14={run.path}"])
    with pytest.raises(StageError, match="holds no finished run"):
        choose.choose([f"l14={tmp_path}"])
    monkeypatch.setattr(scales, "load", lambda _: short)
    made = build(plain(tmp_path / "in", tars=1), tmp_path / "out", networks=choose.choose(["b32=none", f"l14={run.path}"]), workers=1)
    assert (made.record.built.networks, made.record.networks) == ({"l14": "run smoke"}, {"l14": run.record.checkpoints[-1].sha256})
    network = Embedder(short, run.weights())
    scores = (network.images(np.stack([network.crop(picture(n)) for n in range(5)])) * network.texts([f"picture number {n}" for n in range(5)])).sum(axis=1)
    assert tables.read_parquet(made.metadata("00000000"))["clip_l14_similarity_score"].to_numpy() == pytest.approx(scores, abs=1e-6)


def _short(scale):
    budget = scale.budget.model_copy(update={"steps": 1, "samples_seen": scale.budget.global_batch_samples, "checkpoints": 1})
    return scale.model_copy(update={"budget": budget, "sampling": scale.sampling.model_copy(update={"shard_samples": 50})})


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A tiny architecture in open_clip's list, and weights of it."""
    folder = tmp_path_factory.mktemp("clip")
    vision, text = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}, {"vocab_size": 49408, "width": 16, "heads": 1, "layers": 1}
    (folder / "tiny-of-a-test.json").write_text(json.dumps({"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(folder / "tiny-of-a-test.json")
    torch.manual_seed(0)
    network = open_clip.create_model("tiny-of-a-test")
    save_file(network.state_dict(), folder / "weights.safetensors")
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": tensor for name, tensor in network.state_dict().items()}}, folder / "weights.pt")
    return folder, network


def test_an_open_clip_network_scores_as_open_clip_does(tmp_path, tiny_clip):
    folder, network = tiny_clip
    chosen = choose.choose(["b32=none", f"l14=tiny-of-a-test:{folder / 'weights.safetensors'}"])
    made = build(plain(tmp_path / "in", tars=1), tmp_path / "out", networks=chosen, workers=1)
    assert made.record.built.networks == {"l14": "open_clip tiny-of-a-test"}
    frame = tables.read_parquet(made.metadata("00000000"))
    prepare = open_clip.image_transform(32, is_train=False, mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD)
    pixels = torch.stack([prepare(decode(picture(n))) for n in range(5)])
    with torch.inference_mode():
        images = network.eval().encode_image(pixels, normalize=True)
        texts = network.encode_text(open_clip.get_tokenizer("tiny-of-a-test")(frame["text"].to_list()), normalize=True)
    assert frame["clip_l14_similarity_score"].to_numpy() == pytest.approx((images * texts).sum(dim=1).numpy(), abs=1e-5)


def test_a_pickled_checkpoint_is_read_as_tensors_or_refused(tmp_path, tiny_clip):
    folder, network = tiny_clip
    loaded = published.OpenClip(published.named("tiny-of-a-test"), folder / "weights.pt")
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in loaded.network.state_dict().items())

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/ran",)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "old.pt").write_bytes(pickle.dumps(Evil()))
    (tmp_path / "cut.pt").write_bytes((folder / "weights.pt").read_bytes()[:5000])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("evil", "old", "cut", "empty", "list"):
        with pytest.raises(StageError, match=rf"{name}\.pt (does not hold tensors alone|holds something else)"):
            published.OpenClip(published.named("tiny-of-a-test"), tmp_path / f"{name}.pt")
    assert not (tmp_path / "ran").exists()
    with pytest.raises(StageError, match="does not fit the model"):
        published.OpenClip(published.named("ViT-S-32-alt"), folder / "weights.safetensors")


def test_a_tag_decides_on_preprocessing_and_activation():
    assert published.named("ViT-L-14/laion2b_s32b_b82k").pixels.mean == (0.5, 0.5, 0.5)
    assert published.named("ViT-L-14").pixels.mean == open_clip.OPENAI_DATASET_MEAN
    assert published.named("ViT-B-32/openai").model["quick_gelu"] is True
    assert published.named("ViT-B-32").model["quick_gelu"] is False


# The command


def test_the_command_says_what_it_found_and_what_it_dropped(tmp_path):
    folder = plain(tmp_path / "in", tars=1)
    write_tar(folder / "z.tar", [("x.txt", b"alone")])
    arguments = ["pool", "build", "--shards", str(folder), "--out", str(tmp_path / "out"), "--network", "b32=none", "--network", "l14=none", "--workers", "1"]
    dry = CliRunner().invoke(cli.app, [*arguments, "--dry-run"])
    assert "2 tars, 0 of them done; at most 5 samples to keep" in dry.stdout
    done = CliRunner().invoke(cli.app, arguments)
    assert done.exit_code == 0
    assert [line for line in done.stdout.splitlines() if line] == [
        "no scores and no features",
        "6 samples found",
        "1 dropped: no picture",
        f"5 samples in {tmp_path / 'out'}",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_pool_killed_wherever_a_file_appears_ends_with_the_same_bytes(tmp_path, built, moment):
    """Killed at its sixth new file, then at the sixth that the restart makes, and so on; a part has five and is begun again."""
    folder = built.path.parent / "in"
    arguments = ["pool", "build", "--shards", folder, "--out", tmp_path / "out", "--name", "mine", "--workers", "1"]
    kills = 0
    while (done := subprocess.run([sys.executable, TESTS / "killed.py", moment, "6", *map(str, arguments)], capture_output=True, check=False)).returncode:
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        assert kills < 10
    assert kills >= 3
    assert content(tmp_path / "out") == content(built.path)
