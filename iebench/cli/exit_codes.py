"""Turns errors that are meant for the person into one sentence on stderr and an exit code."""

import errno
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import click

from shards.errors import IebenchError, UsageError
from shards.files import DISK_ERRORS
from shards.printable import printable

_PATH_ERRORS = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


class FriendlyGroup(click.Group):
    """A group that lists its commands in sections, if it has any, and turns expected errors into one sentence."""

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[click.Command]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections or {}
        for command in chain.from_iterable(self._sections.values()):
            self.add_command(command)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one table of commands per section."""
        if not self._sections:
            super().format_commands(context, formatter)
        for title, commands in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(command.name or "", command.get_short_help_str(limit=74)) for command in commands]
                )

    def invoke(self, context: click.Context) -> Any:
        """Runs a command; errors that are meant for the person become click's, and bugs keep their traceback."""
        try:
            return super().invoke(context)
        except IebenchError as error:
            raise _Sentence(str(error), error.exit_code) from None
        except KeyboardInterrupt:  # 130 is what a shell reports for a process that Ctrl-C ended
            raise _Sentence("stopped; run the same command again to go on where it was", 130) from None
        except OSError as error:
            if error.errno in _PATH_ERRORS and error.filename:
                raise _Sentence(
                    f"{error.filename} cannot be used: {error.strerror}", UsageError.exit_code
                ) from None
            if error.errno not in DISK_ERRORS:
                raise
            where = f" while writing {error.filename}" if error.filename else ""
            message = f"{error.strerror}{where}; make room and run the same command again: what was finished is kept"
            raise _Sentence(message, 1) from None


@contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Makes SIGTERM stop the work as Ctrl-C does, so that no process is orphaned and no work is lost."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class _Sentence(click.ClickException):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(printable(message))
        self.exit_code = exit_code  # type: ignore[misc]
