"""A pool may lie in an object store: the same lists come from s3:// as from the disk."""

import boto3
import pytest
import s3fs
from moto.server import ThreadedMotoServer
from test_parity import CENTROIDS, GOLDEN

from datacomp import places
from datacomp.artifacts import pool as pools
from datacomp.errors import PoolError
from datacomp.filters.apply import apply


@pytest.fixture(scope="module")
def bucket():
    """A bucket with the nasty metadata, on a server of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="pools")
        for path in sorted((GOLDEN / "strict").iterdir()):
            client.put_object(Bucket="pools", Key=f"nasty/metadata/{path.name}", Body=path.read_bytes())
        yield "s3://pools/nasty"
    server.stop()


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
