"""Datasets on the Hugging Face Hub, at ``hf://USER/NAME``; needs the extra ``hub``."""

import os
from dataclasses import dataclass
from urllib.parse import unquote

from shards.errors import UsageError

try:
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers
except ImportError:
    raise UsageError(
        "addresses that start with hf:// need huggingface_hub; pip install 'iebench[hub]'"
    ) from None


@dataclass(frozen=True)
class HubPlace:
    """A file or a folder in a dataset repository.

    Attributes:
        repository: ``USER/NAME``.
        path: What is below it; empty for the repository itself.
    """

    repository: str
    path: str


def hub_place(address: str) -> HubPlace:
    """The place that an ``hf://`` address names.

    Raises:
        UsageError: it names no repository.
    """
    user, _, rest = unquote(address.removeprefix("hf://")).partition("/")
    name, _, path = rest.strip("/").partition("/")
    if not user or not name:
        raise UsageError(f"{address} names no dataset on the Hub; write hf://USER/NAME")
    return HubPlace(f"{user}/{name}", path)


def hub_url(address: str) -> str:
    """Where a file at an ``hf://`` address is read."""
    place = hub_place(address)
    return hf_hub_url(place.repository, place.path, repo_type="dataset", endpoint=endpoint())


def endpoint() -> str:
    """The Hub, or the server that stands in for it (``HF_ENDPOINT``)."""
    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT


def hub_headers() -> dict[str, str]:
    """What a request to the Hub carries: the token of ``hf auth login`` or ``HF_TOKEN``, if there is one."""
    return build_hf_headers(library_name="iebench")
