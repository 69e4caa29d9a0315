"""What a file at an address gives, and how reading it may fail."""

from typing import Protocol

from shards.errors import IebenchError


class Dropped(Exception):
    """The connection ended early or the server is busy: another attempt may do."""


class Unreachable(IebenchError):
    """No attempt did."""


class NoRanges(IebenchError):
    """The server sends whole files only."""


class RemoteFile(Protocol):
    """A file that is being read.

    Attributes:
        start: Byte of the file at which the first ``read`` begins; 0 if the server cannot begin elsewhere.
    """

    start: int

    def read(self, most: int) -> bytes:
        """The next bytes, at least one and at most ``most``; none at the end of the file.

        Raises:
            Dropped: the connection ended early.
            IebenchError: it cannot be read, whatever the number of attempts.
        """

    def close(self) -> None:
        """Lets go of the connection."""
