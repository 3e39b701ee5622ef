"""Where things lie: a path on this machine, or an address such as s3://bucket/folder, which behaves like a path."""

from pathlib import Path
from typing import cast


def at(text: str) -> Path:
    """Make a path of what a user wrote.

    Addresses are those of fsspec; credentials and the endpoint of s3:// come from the environment (AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …).
    """
    if "://" not in text:
        return Path(text)
    from upath import UPath

    return cast(Path, UPath(text))  # has the methods of a path that are used here
