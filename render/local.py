"""Workers that are processes of this machine."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any, cast

from pebble import ProcessExpired

from render import worker
from render.device_choice import (
    CPU,
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
from render.worker import LOG_NAME, RenderResult, WorkerSetup
from shards.child_processes import available_cores
from shards.errors import IebenchError
from shards.one_process import OneProcess

_PROBE_TIMEOUT = 300.0  # seconds


class LocalWorker:
    """A render process; if it dies, the executor replaces this worker by a new one."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._setup = setup
        self._process = OneProcess()

    def start(self) -> Future[None]:
        return self._schedule("start", worker.start_worker, self._setup)

    def submit(self, job: Job) -> Future[RenderResult]:
        return self._schedule(job.item.key, worker.start_and_render, self._setup, job)

    def stop(self) -> None:
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
    """Makes workers on this machine: if no number is given, one for each core or a few for each GPU.

    Raises:
        UsageError: This machine has no such device.
        IebenchError: Blender dies or hangs when it looks for GPUs.
    """

    def __init__(self, first: Job, workers: int | None, device: DeviceChoice, limits: Limits) -> None:
        devices, cores = choose_devices(device, find_gpus), available_cores()
        gpus = 0 if CPU in devices else len(devices)
        self.kind = devices[0].kind
        self.workers = workers or default_workers(gpus, cores)
        self.description = describe_devices(devices, self.workers, device == "auto" and has_gpu_driver())
        self._threads = threads_per_worker(gpus, cores, self.workers)
        self._first = first
        self._limits = limits
        self._scratch = Scratch()

    def worker(self) -> LocalWorker:
        render, staging = self._first.settings.render, self._first.staging
        folder, kind = self._scratch.worker_folder(), cast("DeviceChoice", self.kind)
        setup = WorkerSetup(render, staging, folder, os.getpid(), self._limits, kind, self._threads)
        return LocalWorker(setup)

    def close(self) -> None:
        """Removes what the workers wrote on this machine."""
        self._scratch.remove()


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
