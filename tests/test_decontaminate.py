"""Altered copies of test pictures are found, others are not taken for copies, and the page shows them."""

import io
import random

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from datacomp import tars, uids
from datacomp.artifacts import pool as pools
from datacomp.artifacts import subset as subsets
from datacomp.artifacts import tar_index
from datacomp.declared import suite as suites
from datacomp.decontaminate import layout
from datacomp.decontaminate import run as decontamination
from datacomp.errors import StageError, SubsetError
from datacomp.evaluate import sets
from datacomp.network.embed import decode
from datacomp.pipelines import miniature
from datacomp.pipelines.decontaminate import decontaminate

PLANTED = 60


def alter(picture, draw):
    """One of the ways in which copies on the web differ."""
    width, height = picture.size
    crop = draw.uniform(0.02, 0.08)
    return draw.choice(
        [
            lambda: picture.resize((int(width * 0.7), int(height * 0.7)), Image.Resampling.BICUBIC),
            lambda: ImageEnhance.Brightness(picture).enhance(draw.uniform(0.7, 1.3)),
            lambda: ImageEnhance.Contrast(picture).enhance(draw.uniform(0.6, 1.4)),
            lambda: picture.crop((int(width * crop), int(height * crop), width - int(width * crop), height - int(height * crop))),
            lambda: ImageOps.mirror(picture),
            lambda: ImageOps.grayscale(picture),
        ]
    )()


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Suite nano cut down to two tasks, with their test sets."""
    whole = suites.load("nano")
    small = whole.model_copy(update={"tasks": whole.tasks[:2]})
    data = tmp_path_factory.mktemp("data")
    miniature.make_test_sets(small, data)
    return small, data


@pytest.fixture(scope="module")
def contaminated(small_pool, suite, tmp_path_factory):
    """The small pool's tar with altered copies of test pictures behind it: the pool, and the copies' uids."""
    draw = random.Random(0)
    measured, data = suite
    tests = [picture for task in measured.tasks for _, picture, _ in sets.samples(sets.read(data, task))]
    folder = tmp_path_factory.mktemp("contaminated")
    (folder / "shards").mkdir()
    (folder / "metadata").symlink_to(small_pool.path / "metadata")
    planted = []
    with tars.TarWriter(folder / "shards" / "00000000.tar") as writer:
        for sample, content in tars.read_all(small_pool.tars()[0]):
            for extension, member in content.items():
                writer.add(f"{sample.key}.{extension}", member)
    with tars.TarWriter(folder / "shards" / "00000001.tar") as writer:
        for number, picture in enumerate(draw.sample(tests, PLANTED)):
            planted.append(f"{number:032x}")
            buffer = io.BytesIO()
            alter(decode(picture).convert("RGB"), draw).save(buffer, "JPEG", quality=draw.randint(50, 95))
            writer.add(f"{number}.jpg", buffer.getvalue())
            writer.add(f"{number}.json", f'{{"uid": "{planted[-1]}"}}'.encode())
            writer.add(f"{number}.txt", b"a caption")
        writer.add("broken.jpg", b"no picture")
        writer.add("broken.json", f'{{"uid": "{"f" * 32}"}}'.encode())
    return pools.read(folder), set(planted)


def test_altered_copies_are_found_and_others_are_kept(contaminated, suite, tmp_path):
    pool, planted = contaminated
    done = decontaminate(pool, None, *suite, tmp_path / "clean.npy", threshold=decontamination.THRESHOLD, workers=1)
    found = set(uids.text(done.found.copies))
    assert len(found & planted) >= 0.8 * PLANTED
    assert len(found & planted) >= 0.9 * len(found)
    assert done.found.broken_samples == 1
    everything = {uid for tar in pool.tars() for uid in uids.text(tar_index.read(tar).uids)}
    assert set(uids.text(subsets.read(tmp_path / "clean.npy").uids)) == everything - found
    assert f"{len(found)}</dd>" in done.page.read_text()
    assert done.page.read_text().count('<li class="copy">') == len(found)


def test_a_list_loses_its_copies_alone_and_keeps_its_repeats(contaminated, suite, tmp_path):
    pool, planted = contaminated
    some = sorted(planted)[:20]
    others = uids.text(tar_index.read(pool.tars()[0]).uids)[:20]
    listed = subsets.write(tmp_path / "list.npy", [uids.parse(sorted([*some, *others, *others]))])
    done = decontaminate(pool, listed, *suite, tmp_path / "clean.npy", threshold=decontamination.THRESHOLD, workers=1)
    found = set(uids.text(done.found.copies))
    assert uids.text(done.subset.uids) == [uid for uid in uids.text(listed.uids) if uid not in found]
    assert done.subset.record.external_resources


def test_a_killed_search_goes_on_and_another_question_starts_anew(contaminated, suite, tmp_path, monkeypatch):
    pool, _ = contaminated
    asked = []
    real = decontamination._most_alike
    monkeypatch.setattr(decontamination, "_most_alike", lambda *given: asked.append(1) or real(*given))
    tests = [decontamination.TestPicture(str(place), picture) for place, (_, picture, _) in enumerate(sets.samples(sets.read(suite[1], suite[0].tasks[0])))]
    first = decontamination.find(pool, tests, tmp_path, workers=1)
    (tmp_path / "00000001.answer.npz").unlink()
    assert np.array_equal(decontamination.find(pool, tests, tmp_path, workers=1).copies, first.copies)
    assert len(asked) == 3
    decontamination.find(pool, tests, tmp_path, threshold=0.5, workers=1)
    assert len(asked) == 5


def test_a_picture_of_one_brightness_is_like_nothing():
    assert not layout.describe(Image.new("RGB", (40, 40), "red")).any()


def test_mistakes_end_in_a_clear_word(contaminated, suite, tmp_path):
    pool, planted = contaminated
    with pytest.raises(StageError, match=r"the threshold is 1\.5"):
        decontamination.find(pool, [], tmp_path, threshold=1.5)
    with pytest.raises(StageError, match="no test picture"):
        decontamination.find(pool, [], tmp_path)
    listed = subsets.write(tmp_path / "list.npy", [uids.parse(sorted(planted)[:1])])
    with pytest.raises(SubsetError, match="every picture is a copy"):
        decontaminate(pool, listed, *suite, tmp_path / "clean.npy", threshold=0.3, workers=1)
