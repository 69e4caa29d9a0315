"""Workers on the nodes of a Ray cluster.

An actor holds a worker of its node (``render.local``), so that a Blender that crashes is known by its exit code
on every engine alike; an actor that is gone went with its node or was ended from outside.
"""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import render
from render.device_choice import (
    WORKERS_PER_GPU,
    DeviceChoice,
    choose_devices,
    default_workers,
    threads_per_worker,
)
from render.limits import Limits
from render.local import LocalWorker, find_gpus
from render.output import redirected
from render.plan import Job
from render.retries import WorkerLost
from render.scratch import Scratch
from render.settings import RenderSettings
from render.worker import RenderResult, WorkerSetup
from shards.errors import IebenchError, UsageError, first_line

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # it would carry the working directory to every node
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "error",
}
"""Ray's settings that must stand before it is imported; what the user has set stays."""

_CONNECT_TIMEOUT, _LEAVE_TIMEOUT = 10.0, 2.0  # seconds


class RayEngine:
    """Makes actors on the cluster that RAY_ADDRESS names, else on one that is started on this machine.

    If no number of workers is given, there is one for each CPU, or a few for each GPU; GPUs are those that Ray assigns.

    Raises:
        UsageError: Ray is not installed, or knows of no GPU and one was asked for.
        IebenchError: The cluster does not answer.
    """

    def __init__(self, first: Job, workers: int | None, device: DeviceChoice, limits: Limits) -> None:
        if importlib.util.find_spec("ray") is None:
            raise UsageError(
                "--engine ray needs Ray, which is not installed: `pip install 'iebench[ray]'`; "
                "--engine local does without"
            )
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        import ray

        self._ray = ray
        self._first = on_every_node(first)
        self._limits = limits
        self._connect(workers)
        try:
            self._choose(workers, device)
        except BaseException:
            ray.shutdown()
            raise

    def _choose(self, workers: int | None, device: DeviceChoice) -> None:
        """Decides what actors render on, how many there are, and what each asks Ray for."""
        resources = self._ray.cluster_resources()
        cores, gpus = max(1, int(resources.get("CPU", 1))), int(resources.get("GPU", 0))
        if device not in ("auto", "cpu") and not gpus:
            raise UsageError(
                f"Ray knows of no GPU in this cluster, so --device {device} has none; start its nodes with --num-gpus"
            )
        share: dict[str, Any] = {"runtime_env": {"env_vars": {"PYTHONPATH": _python_path(), **_QUIET}}}
        self.kind: str = "cpu"
        if device != "cpu" and gpus:
            share["num_gpus"] = 1 / WORKERS_PER_GPU
            probe = self._ray.remote(num_cpus=1, max_calls=1, **share)(_kind_of_node)
            try:
                self.kind = self._ray.get(probe.remote(device))
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None
        if self.kind == "cpu":
            share.pop("num_gpus", None)
            gpus = 0
        self.workers = workers or default_workers(gpus, cores)
        self._threads = threads_per_worker(gpus, cores, self.workers)
        where = f"{gpus} GPUs by {self.kind}" if gpus else "the CPUs"
        self.description = f"rendering on {where} of the Ray cluster with {self.workers} workers"
        self._actor = self._ray.remote(
            num_cpus=self._threads,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            **share,
        )(_Actor)

    def worker(self) -> "RayWorker":
        """A new one, not started; it starts once a node has a CPU, and on GPUs a share of one, to spare."""
        render, staging = self._first.settings.render, self._first.staging
        handle = self._actor.remote(render, staging, self._limits, self.kind, self._threads)
        return RayWorker(self._ray, handle)

    def close(self) -> None:
        """Leaves the cluster, or ends it where it was started here."""
        self._ray.shutdown()

    def _connect(self, workers: int | None) -> None:
        address = os.environ.get("RAY_ADDRESS")
        own: dict[str, Any] = {
            "num_cpus": workers,
            "include_dashboard": False,
            "object_store_memory": 100 * 2**20,
        }
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            _require_listener(address)
            with redirected(2, self._first.staging / "logs" / "ray.log"):  # Ray's C++ side
                self._ray.init(
                    address or "local",
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    **({} if address else own),
                )
        except (OSError, RuntimeError, ValueError) as error:
            where = f"at RAY_ADDRESS={address}" if address else "on this machine"
            reason = first_line(error).rstrip(".")
            raise IebenchError(f"no Ray cluster could be reached {where}: {reason}") from None
        finally:
            for number, handler in handlers.items():  # Ray takes SIGTERM for itself
                signal.signal(number, handler)


class RayWorker:
    """An actor, of which Ray gives a handle, and the Blender beside it."""

    def __init__(self, ray: Any, handle: Any) -> None:
        self._ray = ray
        self._handle = handle

    def start(self) -> Future[None]:
        return self._call(self._handle.start.remote)

    def submit(self, job: Job) -> Future[RenderResult]:
        return self._call(self._handle.render.remote, on_every_node(job))

    def stop(self) -> None:
        """Ends the actor; the kernel of its node ends Blender with it.

        One that is idle leaves nothing on its node; what others leave, the next render there removes.
        """
        with contextlib.suppress(self._ray.exceptions.RayError):  # busy, starting, or gone
            self._ray.get(self._handle.leave.remote(), timeout=_LEAVE_TIMEOUT)
        self._ray.kill(self._handle, no_restart=True)

    def _call(self, method: Callable, *arguments: Any) -> Future:
        """Puts what the actor's method returns or raises into a future of ``render.executor``'s kind."""
        future: Future = Future()

        def finish(answer: Future) -> None:
            error = answer.exception()
            if error is None:
                future.set_result(answer.result())
            elif isinstance(error, self._ray.exceptions.RayTaskError):
                future.set_exception(error.cause)
            else:
                lost = WorkerLost(f"its worker or its node was lost ({type(error).__name__})")
                future.set_exception(lost)

        method(*arguments).future().add_done_callback(finish)
        return future


def on_every_node(job: Job) -> Job:
    """Makes the paths of a job independent of the working directory."""
    source = job.item.source and job.item.source.absolute()
    item = replace(job.item, path=job.item.path.absolute(), source=source)
    return replace(job, item=item, staging=job.staging.absolute())


class _Actor:
    """Runs on a node: a worker of that machine, and its room there."""

    def __init__(
        self, settings: RenderSettings, staging: Path, limits: Limits, device: DeviceChoice, threads: int
    ) -> None:
        self._scratch = Scratch()
        folder = self._scratch.worker_folder()
        setup = WorkerSetup(settings, staging, folder, os.getpid(), limits, device, threads)
        self._worker = LocalWorker(setup)

    def start(self) -> None:
        self._worker.start().result()

    def render(self, job: Job) -> RenderResult:
        return self._worker.submit(job).result()

    def leave(self) -> None:
        self._worker.stop()
        self._scratch.remove()


def _kind_of_node(choice: DeviceChoice) -> str:
    """Runs on a node that has a GPU: the kind of device that Blender can use there."""
    return choose_devices(choice, find_gpus)[0].kind


def _require_listener(address: str | None) -> None:
    """Raises an ``OSError`` if nobody listens at a host and port, which Ray itself would try for minutes to reach."""
    host, _, port = (address or "").rpartition(":")
    if host and "/" not in host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT).close()


def _python_path() -> str:
    """Returns the paths by which workers find the packages that this process uses."""
    root = str(Path(render.__file__).parents[1])
    return os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
