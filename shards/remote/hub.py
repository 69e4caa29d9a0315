"""Finds datasets on the Hugging Face Hub, at ``hf://USER/NAME``. This needs the extra ``hub``."""

import os
from typing import NamedTuple
from urllib.parse import unquote

from shards.errors import UsageError

try:
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers
except ImportError:
    raise UsageError(
        "addresses that start with hf:// need huggingface_hub; pip install 'iebench[hub]'"
    ) from None


class HubLocation(NamedTuple):
    """A file or a folder in a dataset repository ``USER/NAME``; the path of the repository itself is empty."""

    repository: str
    path: str


def hub_location(address: str) -> HubLocation:
    """Splits an ``hf://`` address into the repository and the path inside it.

    Raises:
        UsageError: The address names no repository.
    """
    user, _, rest = unquote(address.removeprefix("hf://")).partition("/")
    name, _, path = rest.strip("/").partition("/")
    if not user or not name:
        raise UsageError(f"{address} names no dataset on the Hub; write hf://USER/NAME")
    return HubLocation(f"{user}/{name}", path)


def hub_url(address: str) -> str:
    """Returns the https address of a file at an ``hf://`` address."""
    location = hub_location(address)
    return hf_hub_url(location.repository, location.path, repo_type="dataset", endpoint=endpoint())


def endpoint() -> str:
    """Returns the address of the Hub, or of the server in the environment variable ``HF_ENDPOINT``."""
    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT


def hub_headers() -> dict[str, str]:
    """Returns the headers of a request to the Hub, with the token of ``hf auth login`` or ``HF_TOKEN``, if any."""
    return build_hf_headers(library_name="iebench")
