"""A pool may lie in an object store: the same lists come from s3:// as from the disk."""

import boto3
import pytest
import s3fs
import stores
from test_parity import CENTROIDS, GOLDEN

from datacomp import places
from datacomp.artifacts import pool as pools
from datacomp.errors import PoolError, StageError
from datacomp.filters.apply import apply
from datacomp.reshard.run import Form, reshard
from datacomp.train.shard import opened


@pytest.fixture(scope="module")
def bucket():
    """A bucket with the nasty metadata, on a server of this machine."""
    with stores.served("pools") as client:
        for path in sorted((GOLDEN / "strict").iterdir()):
            client.put_object(Bucket="pools", Key=f"nasty/metadata/{path.name}", Body=path.read_bytes())
        yield "s3://pools/nasty"


@pytest.mark.parametrize(
    ("name", "options"),
    [("clip_score", {"fraction": 0.3}), ("basic_filter", {"language_model": "ftz"}), ("image_based", {**CENTROIDS, "language_model": "ftz"})],
)
def test_the_same_list_comes_from_a_store_as_from_the_disk(bucket, tmp_path, name, options):
    far = apply(name, options, pools.read(places.at(bucket)), tmp_path / "far.npy")
    near = apply(name, options, pools.read(GOLDEN / "strict"), tmp_path / "near.npy")
    assert far.record == near.record
    assert (tmp_path / "far.npy").read_bytes() == (tmp_path / "near.npy").read_bytes()


def test_a_bare_folder_of_metadata_is_a_pool_as_well(bucket):
    assert pools.read(places.at(f"{bucket}/metadata")).stems == pools.read(places.at(bucket)).stems


@pytest.mark.parametrize("address", ["s3://pools/elsewhere", "s3://no-such-bucket/pool"])
def test_an_address_without_a_pool_is_named(bucket, address):
    with pytest.raises(PoolError, match=rf"{address} (is no pool|cannot be read)"):
        pools.read(places.at(address))


def test_a_store_that_does_not_answer_is_named(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(PoolError, match=r"s3://pools/other cannot be read: .*AWS_ENDPOINT_URL"):
        pools.read(places.at("s3://pools/other"))


def test_a_path_stays_a_path(tmp_path):
    assert places.at(str(tmp_path)) == tmp_path


@pytest.fixture
def far_pool(bucket, small_pool, monkeypatch, tmp_path):
    """The small pool in the store; what is known of its tars goes into a cache of this test."""
    monkeypatch.setenv("DATACOMP_CACHE", str(tmp_path / "cache"))
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    for path in (*small_pool.tables.glob("*.parquet"), *small_pool.tars(), small_pool.path / "pool.json"):
        client.put_object(Bucket="pools", Key=f"small/{path.relative_to(small_pool.path)}", Body=path.read_bytes())
    return pools.read(places.at("s3://pools/small"))


def test_shards_go_from_a_store_into_a_store_as_on_the_disk(far_pool, small_pool, tmp_path):
    subset = apply("random", {"fraction": 0.3}, small_pool, tmp_path / "list.npy")
    near = reshard(small_pool, subset, tmp_path / "near", Form(50))
    done = reshard(far_pool, subset, places.at("s3://pools/shards"), Form(50), workers=1)
    assert done.record == near.record
    for mine, theirs in zip(near.tars(), done.tars(), strict=True):
        assert mine.read_bytes() == theirs.read_bytes()
    places.at("s3://pools/shards/shards.json").unlink()
    places.at("s3://pools/shards/00000001.tar").unlink()
    with pytest.raises(StageError, match=r"already holds 00000000\.tar"):
        reshard(far_pool, subset, places.at("s3://pools/shards"), Form(50), workers=1)
    again = reshard(far_pool, subset, places.at("s3://pools/shards"), Form(100), overwrite=True, workers=1)
    assert [path.name for path in places.at("s3://pools/shards").glob("*.tar")] == ["00000000.tar", "00000001.tar"]
    assert again.record.found_samples == near.record.found_samples


def test_shards_of_a_store_are_trained_on_as_those_of_the_disk(far_pool, small_pool, tiny_scale, tmp_path):
    subset = apply("random", {"fraction": 0.3}, small_pool, tmp_path / "list.npy")
    far = reshard(far_pool, subset, tmp_path / "virtual", Form(50, virtual=True), workers=1)
    near = reshard(small_pool, subset, tmp_path / "near", Form(50))
    for mine, theirs in zip(near.places, far.places, strict=True):
        one, other = opened(mine), opened(theirs)
        for number in range(50 if mine is not near.places[-1] else 30):
            (picture, caption), (same_picture, same_caption) = one.pair(number), other.pair(number)
            assert caption == same_caption
            assert picture.tobytes() == same_picture.tobytes()
