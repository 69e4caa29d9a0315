"""One file at an address, opened at a place in it, by the scheme of the address."""

from shards.remote.connection import RemoteFile


def open_remote(address: str, start: int, stop: int | None = None) -> RemoteFile:
    """Opens the file at ``address``, at byte ``start`` where the server can.

    Args:
        address: Address of the file.
        start: the first byte that is wanted.
        stop: the byte behind the last that is wanted; by default all are. More may come.

    Raises:
        Dropped: the server is busy or cannot be reached.
        UsageError: reading it needs what is not installed.
        IebenchError: it is not there, may not be read, or leads to an address that is not followed.
    """
    # fsspec's clients take a moment to load; a dataset in a folder does without them.
    if address.startswith("s3:"):
        from shards.remote.s3 import S3File

        return S3File(address, start)  # which asks for what it is asked for
    from shards.remote.http import HttpFile

    if address.startswith("hf:"):
        from shards.remote.hub import hub_headers, hub_url

        return HttpFile(hub_url(address), start, stop, hub_headers())
    return HttpFile(address, start, stop)
