"""Uploads a dataset to the Hugging Face Hub. This needs the extra ``hub``."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from shards.card import PREVIEW_NAME
from shards.completion import CARD_NAME
from shards.errors import IebenchError, UsageError, first_line
from shards.files import sha256_of
from shards.licenses import LICENSE_NAME
from shards.remote.hub import endpoint, hub_location
from shards.schema import INDEX_NAME, open_dataset
from shards.table import TABLE_NAME

FILES_PER_COMMIT = 16
"""Number of shards in one commit; an interrupted upload continues after the last commit."""


def push_dataset(
    folder: Path, address: str, private: bool = False, advance: Callable[[int], object] = lambda size: None
) -> int:
    """Uploads those files of a dataset that the Hub lacks, and returns their number.

    The index is uploaded last, when all other files are there.

    Args:
        folder: Folder of the dataset.
        address: Address ``hf://USER/NAME`` of the repository, which is created if it does not exist.
        private: Whether a new repository is private.
        advance: Function that is called with the size in bytes of each group of files, once the Hub has them.

    Raises:
        UsageError: The address names no repository, or the user may not write to it.
        IebenchError: The Hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    index = open_dataset(folder)
    location = hub_location(address)
    if not address.startswith("hf://") or location.path:
        raise UsageError(f"{address} names no repository; write hf://USER/NAME")
    api = HfApi(endpoint=endpoint(), library_name="iebench")
    shards = [shard.name for _, shard in index.all_shards()]
    beside = [
        name for name in (TABLE_NAME, PREVIEW_NAME, LICENSE_NAME, CARD_NAME) if (folder / name).is_file()
    ]
    uploaded = 0
    try:
        api.create_repo(location.repository, repo_type="dataset", private=private, exist_ok=True)
        there = _there(api, location.repository)
        starts = range(0, len(shards), FILES_PER_COMMIT)
        groups = [shards[start : start + FILES_PER_COMMIT] for start in starts]
        for names in [*groups, beside, [INDEX_NAME]]:
            missing = [name for name in names if not _same(folder / name, there.get(name))]
            if missing:
                api.create_commit(
                    location.repository,
                    [CommitOperationAdd(name, folder / name) for name in missing],
                    commit_message=f"Add {missing[0]}"
                    + (f" and {len(missing) - 1} more" if missing[1:] else ""),
                    repo_type="dataset",
                )
                uploaded += len(missing)
            advance(sum((folder / name).stat().st_size for name in names))
    except (HfHubHTTPError, LocalTokenNotFoundError) as error:
        code = getattr(getattr(error, "response", None), "status_code", None)
        if code in (None, 401, 403):
            raise UsageError(
                f"{address} may not be written ({code or 'no token'}); log in with `hf auth login`, or set HF_TOKEN to a "
                "token that may write"
            ) from None
        raise IebenchError(_interrupted(address, f"the Hub answered {code}")) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise IebenchError(_interrupted(address, first_line(error))) from None
    return uploaded


def _there(api: "object", repository: str) -> dict[str, tuple[int, str | None, str]]:
    """Returns size, SHA-256 (None for small files) and git's hash of each file in a repository."""
    tree = api.list_repo_tree(repository, repo_type="dataset")  # type: ignore[attr-defined]
    return {
        item.path: (item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
        for item in tree
        if hasattr(item, "blob_id")
    }


def _same(path: Path, found: tuple[int, str | None, str] | None) -> bool:
    """Returns whether a file on the Hub has the same bytes as a local file."""
    if found is None or found[0] != path.stat().st_size:
        return False
    if found[1]:
        return sha256_of(path) == found[1]
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == found[2]


def _interrupted(address: str, reason: str) -> str:
    return f"{address} could not be written ({reason}); run the same command again: what is there is not sent twice"
