"""Where the board lies, as leaderboard/board.toml says."""

from typing import Annotated

import pydantic

from datacomp import rooms
from datacomp.records import Record

REPOSITORY = r"^([\w-][\w.-]*/[\w-][\w.-]*)?$"


class Board(Record):
    """The board that entries and lists are handed in to."""

    repository: Annotated[str, pydantic.Field(max_length=200, pattern=REPOSITORY)]  # OWNER/NAME of a data set on the Hub; empty: there is none yet


def load() -> Board:
    """Read where the board lies."""
    return Board.read(rooms.leaderboard() / "board.toml")
