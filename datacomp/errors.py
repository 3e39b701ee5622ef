"""Everything that can go wrong by somebody's hand, as one tree.

    DatacompError
    ├── RecordError      a record (TOML, JSON) that cannot be read or does not fit its form
    │   └── LockError    a frozen record that differs from what LOCK.toml promises
    ├── PoolError        a pool folder that lacks something or holds something broken
    │   └── TarError     a tar that is truncated, unsafe or not a tar
    ├── SubsetError      a uid list that is not one
    ├── FilterError      a filter that is unknown or was asked for something impossible
    ├── StageError       a stage that must not start or cannot end: wrong input, other output in its place, lost samples
    ├── EntryError       an entry that does not hold
    ├── AssetError       a file from outside that is missing or has another digest
    └── BusyError        another process writes to the same folder

Programming mistakes are `assert`s; these are for users, and each says what came, what is allowed and how to repair it.
"""


class DatacompError(Exception):
    """What happened, what is allowed, how to repair it: one line."""

    def __init__(self, what: str, *, allowed: str = "", repair: str = "") -> None:
        self.what, self.allowed, self.repair = what, allowed, repair
        parts = [what, f"Allowed: {allowed}" if allowed else "", f"Repair: {repair}" if repair else ""]
        super().__init__(". ".join(" ".join(part.split()).rstrip(".") for part in parts if part) + ".")


class RecordError(DatacompError):
    """A record that cannot be read or does not fit its form."""


class LockError(RecordError):
    """A frozen record that differs from its lock."""


class PoolError(DatacompError):
    """A pool that lacks something or holds something broken."""


class TarError(PoolError):
    """A tar that is truncated, unsafe or not a tar."""


class SubsetError(DatacompError):
    """A uid list that is not one."""


class FilterError(DatacompError):
    """A filter that is unknown or was asked for something impossible."""


class StageError(DatacompError):
    """A stage that must not start or cannot end."""


class EntryError(DatacompError):
    """An entry that does not hold."""


class AssetError(DatacompError):
    """A file from outside that is missing or has another digest."""


class BusyError(DatacompError):
    """Another process writes to the same folder."""
