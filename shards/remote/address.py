"""Checks the addresses of datasets."""

import re
from urllib.parse import urlsplit

from shards.errors import UsageError

SCHEMES = ("http", "https", "s3", "hf")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def is_address(location: str) -> bool:
    """Returns whether ``location`` starts with a scheme such as ``http:`` or ``pipe:``, and so is no folder's path."""
    return _SCHEME.match(location) is not None


def checked_address(location: str) -> str:
    """Checks an address and returns it without a slash at its end.

    The address must begin with http, https, s3 or hf, end with the dataset's folder, and hold no name or password.

    Raises:
        UsageError: The address breaks one of these rules. The message shows at most its scheme and host, because the
            rest may hold a secret.
    """
    found = _SCHEME.match(location)
    scheme = found.group(1).lower() if found else ""
    if scheme not in SCHEMES:
        raise UsageError(
            f"addresses that start with {scheme + ':'!r} are not followed; a dataset is a folder, or stands at an address "
            "that starts with http://, https://, s3:// or hf:// (a folder with a colon in its name is written ./NAME)"
        )
    try:
        parts = urlsplit(location)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or not location.isprintable() or " " in location or "://" not in location:
        raise UsageError(f"this {scheme} address has no host that can be read; write {scheme}://HOST/FOLDER")
    if "@" in parts.netloc:
        raise UsageError(
            f"the address on {host} holds a name or a password, which would stay in files and histories; leave it out "
            "and put it into ~/.netrc (http), the usual AWS settings (s3) or HF_TOKEN (hf)"
        )
    if "?" in location or "#" in location:
        raise UsageError(
            f"the address on {host} has a part after ? or #; an address ends with the folder that holds dataset.json"
        )
    if scheme == "hf" and not parts.path.strip("/"):
        raise UsageError(f"{location} names no dataset on the Hub; write hf://USER/NAME")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"
