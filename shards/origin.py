"""Tells whether a folder is the mirror of a dataset at an address, and where mirrors are kept."""

import hashlib
import json
import os
import re
from pathlib import Path

from shards.errors import UsageError
from shards.remote.address import SCHEMES, checked_address

ORIGIN_NAME = "origin.json"


def cache_root() -> Path:
    """Returns the folder of all mirrors: ``$IEBENCH_CACHE``, else ``iebench`` in the user's cache folder."""
    if chosen := os.environ.get("IEBENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "iebench"


def mirror_folder(address: str) -> Path:
    """Returns the folder in the cache for the mirror of an address. Its name is a readable part and a hash."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", address.split("://", 1)[-1]).strip("-")[-60:]
    return cache_root() / f"{readable}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"


def origin_of(folder: Path) -> str | None:
    """Returns the address of which ``folder`` is the mirror; None if ``folder`` is a local dataset.

    A folder is a mirror only if it is in the cache under the name that belongs to its address. So a dataset from
    somebody else with an ``origin.json`` inside cannot make this program read an address.
    """
    try:
        address = json.loads((folder / ORIGIN_NAME).read_bytes())["address"]
        is_mirror = (
            checked_address(address) == address and folder.resolve() == mirror_folder(address).resolve()
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, UsageError):
        return None
    return address if is_mirror else None


def location_of(folder: Path) -> str:
    """Returns the location of a dataset for messages and records: the address of a mirror, else the absolute path."""
    return origin_of(folder) or str(folder.resolve())


def folder_at(location: str) -> Path:
    """Returns the folder of a location from ``location_of``. Nothing is downloaded, so a mirror may not exist."""
    return (
        mirror_folder(location)
        if location.startswith(tuple(f"{scheme}://" for scheme in SCHEMES))
        else Path(location)
    )
