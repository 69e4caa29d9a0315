"""Where a dataset is from: its own folder, or an address of which a folder in the cache is the mirror."""

import hashlib
import json
import os
import re
from pathlib import Path

from shards.errors import UsageError
from shards.remote.address import SCHEMES, checked_address

ORIGIN_NAME = "origin.json"


def cache_root() -> Path:
    """Where mirrors are kept: ``$IEBENCH_CACHE``, else ``iebench`` in the user's cache folder."""
    if chosen := os.environ.get("IEBENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iebench"


def mirror_folder(address: str) -> Path:
    """The folder in the cache that belongs to an address: a name that can be read, and a hash."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", address.split("://", 1)[-1]).strip("-")[-60:]
    return cache_root() / f"{readable}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"


def origin_of(folder: Path) -> str | None:
    """The address of which ``folder`` is the mirror; None where it is a dataset of its own.

    Only what lies in the cache is a mirror, under the name that belongs to its address: a dataset that came from
    elsewhere with an ``origin.json`` in it leads nowhere.
    """
    try:
        address = json.loads((folder / ORIGIN_NAME).read_bytes())["address"]
        is_mirror = (
            checked_address(address) == address and folder.resolve() == mirror_folder(address).resolve()
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UsageError):
        return None
    return address if is_mirror else None


def place_of(folder: Path) -> str:
    """Where a dataset stands, for people and records: the address of a mirror, else the absolute path."""
    return origin_of(folder) or str(folder.resolve())


def folder_at(place: str) -> Path:
    """The reverse of ``place_of``; nothing is fetched, so that a mirror may not be there."""
    return (
        mirror_folder(place) if place.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)) else Path(place)
    )
