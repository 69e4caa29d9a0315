"""Turns errors that are meant for the person into one sentence on stderr and an exit code."""

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from shards.errors import IebenchError, UsageError
from shards.files import DISK_ERRORS
from shards.printable import printable

_PATH_ERRORS = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended


class FriendlyGroup(click.Group):
    """A group that lists its commands in sections and turns expected errors into one sentence.

    Args:
        sections: Command names by section title, in the order of the help.
        *args: Positional arguments of ``click.Group``.
        **kwargs: Keyword arguments of ``click.Group``.
    """

    def __init__(self, *args: Any, sections: dict[str, list[str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections or {}

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes one table of commands per section."""
        if not self._sections:
            super().format_commands(context, formatter)
        for title, names in self._sections.items():
            rows = [(name, self.commands[name].get_short_help_str(limit=74)) for name in names]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, context: click.Context) -> Any:
        """Runs a command under ``one_sentence_errors``."""
        with one_sentence_errors():
            return super().invoke(context)


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Turns errors that are meant for the person into click's; bugs keep their traceback."""
    try:
        yield
    except IebenchError as error:
        raise _Sentence(str(error), error.exit_code) from None
    except KeyboardInterrupt:
        raise _Sentence("stopped; run the same command again to go on where it was", INTERRUPTED) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in _PATH_ERRORS and error.filename:
            raise _Sentence(
                f"{error.filename} cannot be used: {error.strerror}", UsageError.exit_code
            ) from None
        if error.errno not in DISK_ERRORS:
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        message = (
            f"{error.strerror}{where}; make room and run the same command again: what was finished is kept"
        )
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
