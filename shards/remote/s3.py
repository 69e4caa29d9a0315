"""Reads objects at s3 addresses. This needs the extra ``s3``."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from shards.errors import IebenchError, UsageError
from shards.remote.connection import ConnectionDropped

try:
    import aiohttp
    import botocore.exceptions
    from s3fs import S3FileSystem
except ImportError:
    raise UsageError("addresses that start with s3:// need s3fs; pip install 'iebench[s3]'") from None

_OUR_SETTINGS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.ProfileNotFound,
    botocore.exceptions.ParamValidationError,
)
_FORBIDDEN = "set AWS_PROFILE or the AWS keys, or FSSPEC_S3_ANON=true where the bucket is public"


class S3File:
    """An object at an s3 address, which is read by ranges. Keys and endpoint come from the usual AWS settings."""

    def __init__(self, address: str, start: int) -> None:
        self.start = start
        self._address = address
        self._position = start
        self._ended = False

    def read(self, most: int) -> bytes:
        if self._ended:
            return b""
        with _translated(self._address):
            try:
                content = _filesystem(os.getpid()).cat_file(
                    self._address, start=self._position, end=self._position + most
                )
            except OSError as error:
                if not _is_past_the_end(error):
                    raise
                content = b""
        self._position += len(content)
        self._ended = len(content) < most
        return content

    def close(self) -> None:
        """Does nothing, as no connection stays open between ranges."""


def _is_past_the_end(error: OSError) -> bool:
    cause = error.__cause__
    return isinstance(cause, botocore.exceptions.ClientError) and (
        cause.response.get("Error", {}).get("Code") == "InvalidRange"
    )


@functools.cache
def _filesystem(process: int) -> S3FileSystem:
    """Returns the client of a process; as in ``shards.remote.http``, one inherited through a fork cannot be used."""
    return S3FileSystem(skip_instance_cache=True)


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise IebenchError(f"{address} is not there; check the address") from None
    except (PermissionError, *_OUR_SETTINGS):
        raise IebenchError(f"{address} may not be read; {_FORBIDDEN}") from None
    except (OSError, aiohttp.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise ConnectionDropped(f"the storage answered with {type(error).__name__}") from None
