"""Data sets on the Hugging Face Hub: what files there are, each fetched and checked, none run; and how it is asked. HF_ENDPOINT is respected."""

import hashlib
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from datacomp import digest, files, progress
from datacomp.errors import AssetError

_TRIES, _PAUSE_S = 3, 5
_AT_ONCE = 8  # files
_MAY_PASS = (408, 429)  # of the answers that refuse

Answer = TypeVar("Answer")


class Source(NamedTuple):
    """Where files are taken from."""

    repository: str  # OWNER/NAME of a data set
    revision: str = ""  # a commit, branch or tag; empty: the newest commit


def commit(source: Source) -> str:
    """The commit that a revision stands for today."""
    api = HfApi()
    found = asked(source, lambda: api.dataset_info(source.repository, revision=source.revision or None).sha)
    if not found:
        raise AssetError(f"the Hub names no commit of {source.repository}", repair="check HF_ENDPOINT")
    return found


def listing(source: Source, folder: str = "") -> dict[str, RepoFile]:
    """The files of a repository, or of a folder in it, by path."""
    api = HfApi()
    tree = asked(source, lambda: list(api.list_repo_tree(source.repository, folder or None, recursive=True, revision=source.revision, repo_type="dataset")))
    return {file.path: file for file in tree if isinstance(file, RepoFile)}


def fetch(source: Source, wanted: dict[str, RepoFile], folder: Path, work: Path, *, title: str) -> None:
    """Bring files into `folder` under the names given, several at once; those that are there are whole. Partial files in `work` go on where they stopped."""
    api = HfApi()

    def bring(name: str) -> int:
        file = wanted[name]
        path = Path(asked(source, lambda: api.hf_hub_download(source.repository, file.path, repo_type="dataset", revision=source.revision, local_dir=work)))
        if not is_same(path, file):
            path.unlink()
            raise AssetError(f"{file.path} arrived with another digest than the Hub states", repair="start the same command again; it brings this file anew")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        files.publish(path, folder / name)
        return file.size

    missing = [name for name in wanted if not (folder / name).is_file()]
    total = sum(file.size for file in wanted.values())
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        sizes = threads.map(bring, missing)
        for _ in progress.show(sizes, total=total, start=total - sum(wanted[name].size for name in missing), unit="B", title=title, step=int):
            pass


def is_same(path: Path, file: RepoFile) -> bool:
    """Whether a file has the digest that the Hub states: sha256 of a large file, git's own of a small one."""
    if file.lfs is not None:
        return digest.of_file(path) == file.lfs.sha256
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == file.blob_id


def asked(source: Source, question: Callable[[], Answer]) -> Answer:
    """Ask the Hub, a few times if it does not answer; the question must be one that may be asked twice.

    Raises AssetError for what it refuses and where it cannot be reached. The token stands in no message.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            return question()
        except (GatedRepoError, RepositoryNotFoundError) as error:
            raise AssetError(
                f"the Hub does not show {source.repository} to you: {_first(error)}",
                repair="accept its terms on its page there, then log in with: hf auth login",
            ) from None
        except RevisionNotFoundError:
            raise AssetError(f"{source.repository} has no revision {source.revision}", repair="correct the revision") from None
        except HFValidationError as error:
            raise AssetError(f"{source.repository} is no name of a repository: {_first(error)}", allowed="OWNER/NAME") from None
        except Exception as error:
            if _is_refusal(error):
                raise AssetError(f"the Hub refuses what is asked of {source.repository}: {_first(error)}", repair=_MAY_NOT) from None
            if not _by_network(error):
                raise
            if attempt == _TRIES:
                raise AssetError(
                    f"the Hub cannot be reached: {_first(error)}",
                    repair="check the network, the proxy and HF_ENDPOINT, then start the same command again; it goes on where it stopped",
                ) from None
            time.sleep(_PAUSE_S)
    raise AssertionError


_MAY_NOT = "log in with a token that may do this: hf auth login; else correct what the Hub names"


def _is_refusal(error: Exception) -> bool:
    """Whether the Hub understood the question and says no, so that asking again is of no use."""
    return isinstance(error, HfHubHTTPError) and 400 <= error.response.status_code < 500 and error.response.status_code not in _MAY_PASS


def _by_network(error: BaseException) -> bool:
    """The client's errors of connections are of its HTTP library, whose name changes between releases; those of an upload are wrapped."""
    if type(error) is RuntimeError and error.__cause__ is not None:
        return _by_network(error.__cause__)
    if isinstance(error, OSError) and error.errno is not None:
        return False  # the disk's
    return isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore", "huggingface_hub"))


def _first(error: Exception) -> str:
    text = str(error).replace(get_token() or "\0", "…")
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:200]


def answers() -> bool:
    """Whether the Hub can be connected to at all."""
    place = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((place.hostname or "", place.port or 443), timeout=10).close()
    except OSError:
        return False
    return True
