"""Handing in over the Hub: one commit with everything, and a pull request that a second try finds again."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.community import DiscussionComment

from datacomp import hub
from datacomp.errors import AssetError

_KIND = "dataset"
_LOGIN = "log in with: hf auth login, or set HF_TOKEN"


class Pull(NamedTuple):
    """A pull request as it stands."""

    number: int
    state: str  # open, merged, closed, draft
    title: str
    address: str
    said: str = ""  # the last line of the last comment, whoever wrote it
    said_by: str = ""


def demand_token() -> None:
    """Raise AssetError where nobody is logged in, before anything leaves the machine."""
    if not get_token():
        raise AssetError("nobody is logged in to the Hub on this machine", repair=_LOGIN)


def upload(repository: str, content: Mapping[str, Path], message: str) -> str:
    """Bring files, by their places there, into a data set of the Hub in one commit, made where it does not exist; return the commit.

    What is there already is not sent again. Raises AssetError when the Hub refuses or cannot be reached; then all of the commit is there or nothing.
    """
    api, source = HfApi(), hub.Source(repository)
    hub.asked(source, lambda: api.create_repo(repository, repo_type=_KIND, exist_ok=True))
    return str(hub.asked(source, lambda: api.create_commit(repository, _additions(content), commit_message=message, repo_type=_KIND).oid))


def find(board: str, key: str) -> Pull | None:
    """The board's newest pull request whose title begins with a key, None if nobody opened one."""
    source, api = hub.Source(board), HfApi()
    every = hub.asked(source, lambda: list(api.get_repo_discussions(board, repo_type=_KIND, discussion_type="pull_request", discussion_status="all")))
    numbers = [one.num for one in every if one.title.startswith(key)]
    if not numbers:
        return None
    found = hub.asked(source, lambda: api.get_discussion_details(board, max(numbers), repo_type=_KIND))
    comments = [event for event in found.events if isinstance(event, DiscussionComment) and not event.hidden and event.content.strip()]
    said = (comments[-1].content.strip().splitlines()[-1], comments[-1].author) if comments else ()
    return Pull(found.num, found.status, found.title, found.url, *said)


def open_pull(board: str, key: str, title: str, description: str, content: Mapping[str, Path]) -> Pull:
    """The pull request that brings files to the board: the one that an earlier try opened, else a new one. The title begins with the key."""
    api = HfApi()

    def once() -> Pull | None:
        if found := find(board, key):  # opened before, or its answer was lost
            return found
        additions = _additions(content)
        api.create_commit(board, additions, commit_message=title, commit_description=description, repo_type=_KIND, create_pr=True)
        return find(board, key)

    made = hub.asked(hub.Source(board), once)
    if made is None:
        raise AssetError(
            f"the Hub does not show the pull request that was opened on {board}", repair="look at the board's page, then start the same command again"
        )
    return made


def _additions(content: Mapping[str, Path]) -> list[CommitOperationAdd]:
    """New for each try: the client writes into them."""
    return [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in content.items()]
