"""Opens a file at an address with the client that the address's scheme needs."""

from shards.remote.connection import RemoteFile


def open_remote(address: str, start: int, stop: int | None = None) -> RemoteFile:
    """Opens the file at ``address``, at byte ``start`` if the server supports that.

    Args:
        address: Address of the file.
        start: First byte to read.
        stop: Byte after the last one to read; by default the end of the file. The server may send more.

    Raises:
        ConnectionDropped: The server is busy or cannot be reached.
        UsageError: A package that this scheme needs is not installed.
        IebenchError: The file does not exist, may not be read, or redirects to an address that is not followed.
    """
    # fsspec's clients take a moment to load, and a dataset in a folder does not need them.
    if address.startswith("s3:"):
        from shards.remote.s3 import S3File

        return S3File(address, start)  # needs no stop, because it requests a range at each read
    from shards.remote.http import HttpFile

    if address.startswith("hf:"):
        from shards.remote.hub import hub_headers, hub_url

        return HttpFile(hub_url(address), start, stop, hub_headers())
    return HttpFile(address, start, stop)
