"""Workers that are processes of this machine."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from pebble import ProcessPool

from render import worker
from render.devices import DeviceChoice, default_workers
from render.plan import Job
from render.retries import WorkerLost
from render.settings import RenderSettings
from render.worker import Rendered
from shards.processes import available_cores, interrupts_held_back

_Setup = tuple[RenderSettings, Path, int, DeviceChoice]
"""The arguments of ``start_worker``."""


class LocalWorker:
    """A pool of one process.

    A process that is killed may hold the lock of its pool or leave half a message in its pipe. So each has a
    pool of its own, which is thrown away with it.

    Args:
        settings: of the renders.
        staging: the folder that finished objects go to.
        device: what to render on.
    """

    def __init__(self, settings: RenderSettings, staging: Path, device: DeviceChoice = "auto") -> None:
        self._setup: _Setup = (settings, staging, os.getpid(), device)
        resource_tracker.ensure_running()  # its start would end ``interrupts_held_back``
        self._pool = ProcessPool(max_workers=1, context=multiprocessing.get_context("spawn"))

    def start(self) -> Future[None]:
        """Gets Blender ready."""
        return self._schedule(worker.start_worker, *self._setup)

    def submit(self, job: Job) -> Future[Rendered]:
        """Renders an object.

        Raises:
            WorkerLost: the process is gone already.
        """
        return self._schedule(_render, self._setup, job)

    def stop(self) -> None:
        """Ends the process and waits until it is gone."""
        self._pool.stop()
        self._pool.join()

    def _schedule(self, function: Callable, *arguments: Any) -> Future:
        try:
            with interrupts_held_back():  # the first starts the pool
                return self._pool.schedule(function, args=arguments)
        except KeyboardInterrupt:  # the caller has no future yet by which it would stop this worker
            self.stop()
            raise
        except RuntimeError as error:  # pebble's, for a pool whose process died while it was idle
            raise WorkerLost("its process was ended before it could begin") from error


class LocalEngine:
    """Makes workers on this machine.

    Args:
        first: any of the jobs.
        workers: how many; None means one for each core that this process may use, or a few for each
            GPU.
        device: what to render on.
    """

    def __init__(self, first: Job, workers: int | None, device: DeviceChoice) -> None:
        self.workers = workers or default_workers(device, available_cores())
        self._first = first
        self._device = device

    def worker(self) -> LocalWorker:
        """A new one, not started."""
        return LocalWorker(self._first.settings.render, self._first.staging, self._device)

    def close(self) -> None:
        """There is nothing to close."""


def _render(setup: _Setup, job: Job) -> Rendered:
    if not worker.is_started():  # the pool replaced a process that ended quietly
        worker.start_worker(*setup)
    return worker.render_object(job)
