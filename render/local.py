"""Workers that are processes of this machine."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

from pebble import ProcessExpired

from render import worker
from render.device_choice import (
    Device,
    DeviceChoice,
    choose_devices,
    default_workers,
    describe_devices,
    has_gpu_driver,
    threads_per_worker,
)
from render.limits import Limits
from render.plan import Job
from render.retries import TimedOut, WorkerLost, blame_and_reason
from render.scratch import Scratch, tail_of
from render.settings import RenderSettings
from render.worker import LOG_NAME, RenderResult, WorkerSetup
from shards.child_processes import available_cores
from shards.errors import IebenchError
from shards.one_process import OneProcess

_PROBE_TIMEOUT = 300.0  # seconds


class LocalWorker:
    """A render process; if it dies, the executor replaces this worker by a new one.

    Args:
        settings: The settings of the renders.
        staging: The folder that finished objects go to.
        scratch: The room for what the process writes and throws away.
        limits: The time for each step.
        device: Device to render on, as in ``WorkerSetup``.
        threads: The threads that Cycles may use.
    """

    def __init__(
        self,
        settings: RenderSettings,
        staging: Path,
        scratch: Scratch,
        limits: Limits,
        device: DeviceChoice = "cpu",
        threads: int = 1,
    ) -> None:
        folder = scratch.worker_folder()
        self._setup = WorkerSetup(settings, staging, folder, os.getpid(), limits, device, threads)
        self._process = OneProcess()

    def start(self) -> Future[None]:
        """Gets Blender ready."""
        return self._schedule("start", worker.start_worker, self._setup)

    def submit(self, job: Job) -> Future[RenderResult]:
        """Renders an object.

        Raises:
            WorkerLost: The process is gone already.
        """
        return self._schedule(job.item.key, _render, self._setup, job)

    def stop(self) -> None:
        """Ends the process and waits until it is gone."""
        self._process.stop()
        self._process.join()

    def _schedule(self, name: str, function: Callable, *arguments: Any) -> Future:
        """Gives a job to the process; if it fails, the end of Blender's output is kept in ``logs/NAME.log``."""
        try:
            future = self._process.submit(function, *arguments)
        except KeyboardInterrupt:  # the caller has no future yet by which it would stop this worker
            self.stop()
            raise
        except BrokenProcessPool as error:
            raise WorkerLost(str(error)) from error
        told: Future = Future()
        future.add_done_callback(lambda done: self._tell(told, done, name))
        return told

    def _tell(self, told: Future, done: Future, name: str) -> None:
        if done.cancelled():
            told.set_exception(WorkerLost("its process was stopped"))
        elif (error := done.exception()) is None:
            told.set_result(done.result())
        else:
            self._keep_log(name)
            told.set_exception(self._named(error))

    def _keep_log(self, name: str) -> None:
        if tail := tail_of(self._setup.scratch / LOG_NAME):
            with suppress(OSError):  # the disk is full, which the job's own error says
                (self._setup.staging / "logs" / f"{name[:200]}.log").write_bytes(tail)

    def _named(self, error: BaseException) -> BaseException:
        """Returns the error, or a ``TimedOut`` that names the limit if an alarm ended the process."""
        if not isinstance(error, ProcessExpired) or error.exitcode != -signal.SIGALRM:
            return error
        limits = self._setup.limits
        if limits.loading == limits.view:
            return TimedOut(f"reading it, or one of its views, took longer than {limits.view:g} s")
        return TimedOut(
            f"reading it took longer than {limits.loading:g} s, or one of its views longer than {limits.view:g} s"
        )


class LocalEngine:
    """Makes workers on this machine.

    Args:
        first: Any of the jobs.
        workers: Number of processes; None means one for each core that this process may use, or a few for each
            GPU.
        device: Device to render on.
        limits: The time for each step of a job.

    Raises:
        UsageError: This machine has no such device.
    """

    def __init__(self, first: Job, workers: int | None, device: DeviceChoice, limits: Limits) -> None:
        devices, cores = find_devices(device), available_cores()
        self.kind = devices[0].kind
        self.workers = workers or default_workers(devices, cores)
        self.description = describe_devices(devices, self.workers, device == "auto" and has_gpu_driver())
        self._threads = threads_per_worker(devices, cores, self.workers)
        self._first = first
        self._limits = limits
        self._scratch = Scratch()

    def worker(self) -> LocalWorker:
        """A new one, not started."""
        render = self._first.settings.render
        kind: Any = self.kind
        return LocalWorker(render, self._first.staging, self._scratch, self._limits, kind, self._threads)

    def close(self) -> None:
        """Removes what the workers wrote on this machine."""
        self._scratch.remove()


def find_devices(choice: DeviceChoice) -> tuple[Device, ...]:
    """Finds the devices of this machine that render processes share; Blender is asked in a process of its own.

    Raises:
        UsageError: There is no device of the kind that was asked for.
        IebenchError: Blender dies when it looks for GPUs.
    """
    return choose_devices(choice, find_gpus)


def find_gpus() -> Sequence[Device]:
    """Lists the GPUs that Blender finds, each under every kind of access; asked in a process of its own.

    Raises:
        IebenchError: Blender dies or hangs when it looks for GPUs.
    """
    process = OneProcess()
    try:
        return process.submit(worker.list_gpus_alone, os.getpid()).result(_PROBE_TIMEOUT)
    except (ProcessExpired, BrokenProcessPool, FutureTimeoutError) as error:
        reason = "it hangs" if isinstance(error, FutureTimeoutError) else blame_and_reason(error)[1]
        raise IebenchError(
            f"Blender cannot look for GPUs here ({reason}); --device cpu does without them"
        ) from None
    finally:
        process.stop()
        process.join()


def _render(setup: WorkerSetup, job: Job) -> RenderResult:
    if not worker.is_started():  # the pool replaced a process that ended quietly
        worker.start_worker(setup)
    return worker.render_object(job, setup.limits)
