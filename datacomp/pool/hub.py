"""A pool's metadata files on the Hugging Face Hub: what there is, and each file fetched and checked. HF_ENDPOINT is respected."""

import hashlib
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile

from datacomp import digest, files, progress
from datacomp.declared.pool import HubSource
from datacomp.errors import PoolError

UNPINNED = "unpinned"
_TRIES, _PAUSE_S = 3, 5
_AT_ONCE = 8  # files

Answer = TypeVar("Answer")


def commit(source: HubSource) -> str:
    """The commit to take everything from: the pinned one, else today's newest."""
    api = HfApi()
    found = _asked(source, lambda: api.dataset_info(source.repository, revision=None if source.revision == UNPINNED else source.revision).sha)
    if not found:
        raise PoolError(f"the Hub names no commit of {source.repository}", repair="check HF_ENDPOINT")
    return found


def listing(source: HubSource, revision: str, suffix: str) -> dict[str, RepoFile]:
    """The files of one kind, sorted by the plain name under which they will lie: sub-folders are flattened."""
    api = HfApi()
    tree = _asked(source, lambda: list(api.list_repo_tree(source.repository, source.folder or None, recursive=True, revision=revision, repo_type="dataset")))
    found: dict[str, RepoFile] = {}
    for file in tree:
        if isinstance(file, RepoFile) and file.path.endswith(suffix):
            name = PurePosixPath(file.path).name
            if name in found:
                raise PoolError(f"{source.repository} holds {name} in two folders", repair="write to the keepers of that repository")
            found[name] = file
    return dict(sorted(found.items()))


def fetch(source: HubSource, revision: str, wanted: dict[str, RepoFile], folder: Path, work: Path) -> None:
    """Bring files into `folder`, several at once; those that are there are whole. Partial files in `work` go on where they stopped."""
    api = HfApi()

    def bring(name: str) -> None:
        file = wanted[name]
        path = Path(_asked(source, lambda: api.hf_hub_download(source.repository, file.path, repo_type="dataset", revision=revision, local_dir=work)))
        _check(path, file)
        folder.mkdir(parents=True, exist_ok=True)
        files.publish(path, folder / name)

    missing = [name for name in wanted if not (folder / name).is_file()]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in progress.show(threads.map(bring, missing), total=len(wanted), start=len(wanted) - len(missing), unit=" files", title="metadata"):
            pass


def _check(path: Path, file: RepoFile) -> None:
    """Hold a file against the digest that the Hub states: sha256 of a large file, git's own of a small one."""
    if file.lfs is not None:
        same = digest.of_file(path) == file.lfs.sha256
    else:
        data = path.read_bytes()
        same = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == file.blob_id
    if not same:
        path.unlink()
        raise PoolError(f"{file.path} arrived with another digest than the Hub states", repair="start the same command again; it brings this file anew")


def _asked(source: HubSource, question: Callable[[], Answer]) -> Answer:
    """Ask the Hub, a few times if it does not answer."""
    for attempt in range(1, _TRIES + 1):
        try:
            return question()
        except (GatedRepoError, RepositoryNotFoundError) as error:
            raise PoolError(
                f"the Hub does not show {source.repository} to you: {_first(error)}",
                repair="accept its terms on its page there, then log in with: hf auth login",
            ) from None
        except RevisionNotFoundError:
            raise PoolError(f"{source.repository} has no revision {source.revision}", repair="correct the pool's record in tracks/pools/") from None
        except Exception as error:
            if not _by_network(error):
                raise
            if attempt == _TRIES:
                raise PoolError(
                    f"the Hub cannot be reached: {_first(error)}",
                    repair="check the network, the proxy and HF_ENDPOINT, then start the same command again; it goes on where it stopped",
                ) from None
            time.sleep(_PAUSE_S)
    raise AssertionError


def _by_network(error: Exception) -> bool:
    """The client's errors of connections are of its HTTP library, whose name changes between releases."""
    if isinstance(error, OSError) and error.errno is not None:
        return False  # the disk's
    return isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore", "huggingface_hub"))


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]


def answers() -> bool:
    """Whether the Hub can be connected to at all."""
    place = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((place.hostname or "", place.port or 443), timeout=10).close()
    except OSError:
        return False
    return True
