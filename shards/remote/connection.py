"""Defines the interface of files at an address, and the errors of reading them."""

from typing import Protocol

from shards.errors import IebenchError


class ConnectionDropped(Exception):
    """The connection ended early or the server is busy; another attempt may succeed."""


class Unreachable(IebenchError):
    """All attempts to read a file failed."""


class RangesUnsupported(IebenchError):
    """The server only sends whole files and does not support range requests."""


class RemoteFile(Protocol):
    """An open file at an address.

    Attributes:
        start: Byte of the file at which the first ``read`` begins; 0 if the server cannot begin elsewhere.
    """

    start: int

    def read(self, most: int) -> bytes:
        """Reads the next bytes: at least one and at most ``most``, or none at the end of the file.

        Raises:
            ConnectionDropped: The connection ended early.
            IebenchError: The file cannot be read, and another attempt would not help.
        """

    def close(self) -> None:
        """Closes the connection."""
