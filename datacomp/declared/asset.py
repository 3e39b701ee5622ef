"""Files from outside that a filter needs: an address, a digest, a cache, and a word on how to bring them by hand."""

import os
import shutil
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

from datacomp import digest, files, rooms
from datacomp.errors import AssetError
from datacomp.records import Record, read_toml

DOWNLOAD_TIMEOUT_S = 60


class Asset(Record):
    """One file: where it lies and what it must be."""

    name: str
    sha256: str
    licence: str
    url: str = ""  # empty for what a script of ours makes
    source: str = ""
    embedded: str = ""  # where the very same file is at hand: "distribution:path" of an installed package, or a path in tracks/


def load(name: str) -> Asset:
    """Read one asset's record from tracks/assets.toml."""
    assets = read_toml(rooms.tracks() / "assets.toml")
    if name not in assets:
        raise AssetError(f"{name!r} is no known asset", allowed=", ".join(sorted(assets)))
    return Asset.model_validate({"name": name, **assets[name]})


def cache_folder() -> Path:
    """Where downloaded files are kept: $DATACOMP_CACHE, else ~/.cache/datacomp."""
    return Path(os.environ.get("DATACOMP_CACHE") or Path.home() / ".cache" / "datacomp")


def locate(asset: Asset, *, offline: bool = False) -> Path:
    """The path of an asset that holds what its record says: cached, embedded or downloaded now.

    Raises AssetError that says how to bring the file by hand.
    """
    cached = cache_folder() / "assets" / asset.name
    if cached.is_file():
        return _checked(cached, asset)
    if asset.embedded and (path := _embedded(asset)) is not None:
        return _checked(path, asset)
    assert asset.url, f"{asset.name} is shipped"
    by_hand = f"put the file from {asset.url} at {cached}"
    if offline:
        raise AssetError(f"asset {asset.name} is not in the cache and downloads are off", repair=by_hand)
    with files.writing(cached.parent, wait=True):
        if not cached.is_file():  # another process may have brought it meanwhile
            _download(asset, cached, by_hand)
    return _checked(cached, asset)


def _download(asset: Asset, target: Path, by_hand: str) -> None:
    try:
        with urllib.request.urlopen(asset.url, timeout=DOWNLOAD_TIMEOUT_S) as answer, files.whole(target) as temporary:  # noqa: S310 - our record's address
            with temporary.open("wb") as file:
                shutil.copyfileobj(answer, file)
            _checked(temporary, asset)
    except (urllib.error.URLError, OSError) as error:
        raise AssetError(f"asset {asset.name} cannot be downloaded: {error}", repair=by_hand) from None


def _embedded(asset: Asset) -> Path | None:
    distribution, colon, inside = asset.embedded.partition(":")
    if not colon:
        return rooms.tracks() / asset.embedded
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(inside)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _checked(path: Path, asset: Asset) -> Path:
    found = digest.of_file(path)
    if found != asset.sha256:
        raise AssetError(
            f"{path} has sha256 {found[:12]}…, asset {asset.name} must have {asset.sha256[:12]}…", repair=f"remove it and bring it again from {asset.url}"
        )
    return path
