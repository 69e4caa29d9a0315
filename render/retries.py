"""Decides what becomes of a job whose process died, hung or failed, by a policy that all engines share.

A model that Blender refuses would be refused again. A crash of Blender and a time-out are the object's fault, as far
as anybody can tell, and it gets a second try. SIGKILL and SIGTERM come from outside (the kernel's memory killer, a
scheduler, a person), as does the loss of a node: an innocent object may meet several of these, so it is tried more
often, after all others and in the end with nothing beside it.

A model that the file system does not give is nobody's fault: it is tried after all others too, but never given up. If
it still cannot be read then, or many in a row cannot, the run stops, and goes on when it is started again.
"""

import enum
import signal
from collections import deque
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice

from pebble import ProcessExpired

from render.model_errors import SourceUnavailable
from render.plan import Job
from render.worker import RenderResult
from shards.errors import IebenchError

CRASHES = 2
"""Number of crashes or time-outs after which an object is given up."""
ATTEMPTS = 5
"""Largest number of attempts for an object whose processes are ended from outside."""
UNAVAILABLE_IN_A_ROW = 20
"""Number of unreadable models in a row, beyond one for each running job, after which one more stops the run."""

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class WorkerLost(Exception):
    """A worker is gone and nobody knows how it ended, as with its node."""


class TimedOut(Exception):
    """A job took too long; the message says so."""


class Blame(enum.Enum):
    """The cause of a job's end."""

    MODEL = enum.auto()
    PROCESS = enum.auto()
    OUTSIDE = enum.auto()


class Retry(enum.Enum):
    """The conditions under which a job is tried again."""

    NEXT = enum.auto()
    LAST = enum.auto()
    ALONE = enum.auto()
    NEVER = enum.auto()


@dataclass(frozen=True)
class JobOutcome:
    """The end of a job: with ``rendered``, or with a ``reason`` after ``attempts``."""

    job: Job
    rendered: RenderResult | None
    reason: str
    attempts: int


@dataclass(frozen=True)
class Attempt:
    """A job that is about to run, and what it met before."""

    job: Job
    crashes: int = 0
    losses: int = 0

    @property
    def number(self) -> int:
        """Number of this attempt, from 1."""
        return self.crashes + self.losses + 1

    def after(self, blame: Blame) -> tuple["Attempt", Retry]:
        """The job's next attempt and its turn, given why this one ended."""
        if blame is Blame.MODEL:
            return self, Retry.NEVER
        if blame is Blame.PROCESS:
            crashed = replace(self, crashes=self.crashes + 1)
            return crashed, Retry.NEXT if crashed.crashes < CRASHES else Retry.NEVER
        lost = replace(self, losses=self.losses + 1)
        if self.number >= ATTEMPTS:
            return lost, Retry.NEVER
        return lost, Retry.LAST if lost.losses == 1 else Retry.ALONE


def blame_and_reason(error: BaseException) -> tuple[Blame, str]:
    """The reason for a job's end, as the person reads it in ``failures.jsonl``, and whose fault it is."""
    if isinstance(error, IebenchError):
        return Blame.MODEL, str(error)
    if isinstance(error, TimedOut):
        return Blame.PROCESS, str(error)
    if isinstance(error, (WorkerLost, SourceUnavailable)):
        return Blame.OUTSIDE, str(error)
    if isinstance(error, BrokenProcessPool):  # pebble's word for a process that ended before it took the job
        return Blame.OUTSIDE, "its process was ended before it could begin"
    if isinstance(error, ProcessExpired):
        return _death(error.exitcode)
    return Blame.PROCESS, f"{type(error).__name__}: {error}"


def _death(exit_code: int | None) -> tuple[Blame, str]:
    if exit_code is None or exit_code >= 0:
        return Blame.PROCESS, f"Blender ended with exit code {exit_code}"
    if -exit_code not in set(signal.Signals):
        return Blame.PROCESS, f"Blender was ended by signal {-exit_code}"
    number = signal.Signals(-exit_code)
    memory = ", as the kernel does when memory runs out" if number == signal.SIGKILL else ""
    blame = Blame.OUTSIDE if number in _FROM_OUTSIDE else Blame.PROCESS
    return blame, f"Blender was ended by {number.name}{memory}"


class JobQueue:
    """The jobs that are still to run, in the order of their turns; ``fill`` takes them from an iterable."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._waiting = {turn: deque[Attempt]() for turn in (Retry.NEXT, Retry.LAST, Retry.ALONE)}
        self._coming = map(Attempt, jobs)
        self._unavailable = 0  # models in a row

    def fill(self, count: int) -> None:
        """Takes jobs until so many are next, or there are no more."""
        following = self._waiting[Retry.NEXT]
        following.extend(islice(self._coming, max(0, count - len(following))))

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def take(self, running: int) -> Attempt | None:
        """The next attempt; None where it has to wait until none of the ``running`` jobs runs any more."""
        for turn, attempts in self._waiting.items():
            if attempts:
                return None if turn is Retry.ALONE and running else attempts.popleft()
        return None

    def put_back(self, attempt: Attempt) -> None:
        """Makes an attempt that never began the next one."""
        self._waiting[Retry.NEXT].appendleft(attempt)

    def succeeded(self) -> None:
        """Notes that a model was read and rendered."""
        self._unavailable = 0

    def failed(self, attempt: Attempt, error: BaseException, running: int = 0) -> JobOutcome | None:
        """Queues a failed attempt's job again; where it is given up, returns its outcome.

        Raises:
            IebenchError: The models cannot be read any more, which is no object's fault.
        """
        blame, reason = blame_and_reason(error)
        following, turn = attempt.after(blame)
        if isinstance(error, SourceUnavailable):
            self._unavailable += 1
            if turn is Retry.NEVER or self._unavailable > UNAVAILABLE_IN_A_ROW + running:
                raise IebenchError(
                    f"the models cannot be read ({reason}): see whether their file system is there, and run the "
                    "same command again, which goes on where it was"
                )
        if turn is Retry.NEVER:
            return JobOutcome(attempt.job, None, reason, attempt.number)
        self._waiting[turn].append(following)
        return None
