"""Workers that are processes of this machine."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from render import worker
from render.devices import DeviceChoice, default_workers
from render.plan import Job
from render.retries import WorkerLost
from render.settings import RenderSettings
from render.worker import Rendered
from shards.one_process import OneProcess
from shards.processes import available_cores

_Setup = tuple[RenderSettings, Path, int, DeviceChoice]
"""The arguments of ``start_worker``."""


class LocalWorker:
    """A process that renders; where it is killed, it is thrown away.

    Args:
        settings: of the renders.
        staging: the folder that finished objects go to.
        device: what to render on.
    """

    def __init__(self, settings: RenderSettings, staging: Path, device: DeviceChoice = "auto") -> None:
        self._setup: _Setup = (settings, staging, os.getpid(), device)
        self._process = OneProcess()

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
        self._process.stop()
        self._process.join()

    def _schedule(self, function: Callable, *arguments: Any) -> Future:
        try:
            return self._process.submit(function, *arguments)
        except KeyboardInterrupt:  # the caller has no future yet by which it would stop this worker
            self.stop()
            raise
        except BrokenProcessPool as error:
            raise WorkerLost(str(error)) from error


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
