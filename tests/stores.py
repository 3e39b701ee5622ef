"""An object store on this machine, which can be told to fail."""

import socket
from contextlib import contextmanager

import boto3
import pytest
import s3fs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import ThreadedMotoServer


@contextmanager
def served(bucket):
    """A server with an empty bucket, which the environment names; its client."""
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
        s3fs.S3FileSystem.clear_instance_cache()
        client = boto3.client("s3")
        client.create_bucket(Bucket=bucket)
        yield client
    server.stop()


@contextmanager
def failing(faults, *, method="GET", name=""):
    """While it lasts, each request of a method for an object of that name meets the next of `faults`: "busy", "cut", "reset" or "", for none.

    Yields the list of those that were met. The libraries' own tries are off.
    """
    met, left = [], iter(faults)
    real = DomainDispatcherApplication.__call__

    def answer(self, environ, start_response):
        fault = next(left, "") if environ["REQUEST_METHOD"] == method and environ["PATH_INFO"].endswith(name) else ""
        if not fault:
            return real(self, environ, start_response)
        met.append(fault)
        if fault == "busy":
            start_response("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        if fault == "cut":
            body = b"".join(real(self, environ, start_response))
            return [body[: len(body) // 2]]
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DomainDispatcherApplication, "__call__", answer)
        patch.setattr(s3fs.S3FileSystem, "retries", 1)
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield met
    s3fs.S3FileSystem.clear_instance_cache()
