"""Uploads a dataset to the Hugging Face Hub; needs the extra ``hub``."""

from collections.abc import Callable, Sequence
from pathlib import Path

from shards.card import PREVIEW_NAME
from shards.completion import CARD_NAME
from shards.errors import IebenchError, UsageError
from shards.files import sha256_of
from shards.licenses import LICENSE_NAME
from shards.remote.hub import endpoint, hub_place
from shards.schema import INDEX_NAME, open_dataset
from shards.table import TABLE_NAME

FILES_PER_COMMIT = 16
"""Shards that become visible together; an interrupted upload goes on behind the last that did."""


def push_dataset(
    folder: Path, address: str, private: bool = False, advance: Callable[[int], object] = lambda size: None
) -> int:
    """Uploads what the Hub does not have of a dataset; the index comes last, so what is there is never half.

    Args:
        folder: The dataset's folder.
        address: ``hf://USER/NAME``; the repository is made where there is none.
        private: Whether a new repository is private.
        advance: Told the bytes of each file that is there.

    Returns:
        How many files were uploaded.

    Raises:
        UsageError: the address names no repository, or one may not write there.
        IebenchError: the Hub cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    index = open_dataset(folder)
    place = hub_place(address)
    if not address.startswith("hf://") or place.path:
        raise UsageError(f"{address} names no repository; write hf://USER/NAME")
    api = HfApi(endpoint=endpoint(), library_name="iebench")
    shards = [shard.name for split in index.splits.values() for shard in split.shards]
    beside = [
        name for name in (TABLE_NAME, PREVIEW_NAME, LICENSE_NAME, CARD_NAME) if (folder / name).is_file()
    ]
    uploaded = 0
    try:
        api.create_repo(place.repository, repo_type="dataset", private=private, exist_ok=True)
        there = _there(api, place.repository)
        for names in [*_groups(shards), beside, [INDEX_NAME]]:
            missing = [name for name in names if not _same(folder / name, there.get(name))]
            if missing:
                api.create_commit(
                    place.repository,
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
        raise IebenchError(_interrupted(address, str(error).splitlines()[0])) from None
    return uploaded


def _there(api: "object", repository: str) -> dict[str, tuple[int, str | None, str]]:
    """Size, SHA-256 (of large files) and git's hash of each file of a repository."""
    tree = api.list_repo_tree(repository, repo_type="dataset")  # type: ignore[attr-defined]
    return {
        item.path: (item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
        for item in tree
        if hasattr(item, "blob_id")
    }


def _same(path: Path, found: tuple[int, str | None, str] | None) -> bool:
    """Whether the Hub has a file with these bytes."""
    if found is None or found[0] != path.stat().st_size:
        return False
    return sha256_of(path) == found[1] if found[1] else _git_hash(path) == found[2]


def _git_hash(path: Path) -> str:
    import hashlib

    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _groups(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + FILES_PER_COMMIT] for start in range(0, len(names), FILES_PER_COMMIT)]


def _interrupted(address: str, reason: str) -> str:
    return f"{address} could not be written ({reason}); run the same command again: what is there is not sent twice"
