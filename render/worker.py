"""The functions that run in a render process, which keeps one Blender and renders one object at a time."""

import contextlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from render.claims import node_folder, take_slot
from render.device_choice import CPU, Device, DeviceChoice, choose_devices, device_of
from render.limits import START_ON_CPU, START_ON_GPU, Limits, alarm
from render.model_errors import ModelError, SourceUnavailable
from render.plan import Job
from render.settings import RenderSettings
from render.sources.archives import opened_model
from render.sources.soundness import require_source
from render.staging import stage_object
from render.threads import few_cores
from shards.child_processes import end_with_parent, leave_signals_to_parent
from shards.errors import UsageError
from shards.files import NO_ROOM
from shards.images import decode_jpeg, encode_jpeg
from shards.locks import one_at_a_time
from shards.passes import DEPTH_SCALE, encode_pass, member_of
from shards.pixels import PixelSums
from shards.samples import Sample, encode_sample
from shards.schema import SampleMetadata

if TYPE_CHECKING:
    from render.blender.models import ModelChanges
    from render.blender.scene import Scene
    from render.frame import Frame

LOG_NAME = "blender.log"
"""File in the worker's folder that receives Blender's output; it is emptied before each object."""

_FIRST_TO_BE_KILLED = 1000  # of /proc/PID/oom_score_adj, whose range is -1000 to 1000
_KERNEL_CACHE = str(4 * 2**30)  # bytes; the driver's default is less than the kernels of Cycles take
_WAITS = (1.0, 5.0, 20.0)
"""Seconds to wait between attempts to read a model; if the attempt after the last wait fails too, so does the job."""

_scene: "Scene | None" = None
_device = CPU  # that the scene is rendered on


@dataclass(frozen=True)
class WorkerSetup:
    """The settings that a render process needs before its first job.

    Attributes:
        staging: The folder that finished objects go to, perhaps over a network.
        scratch: A folder of this process alone on this machine; its parent removes it.
        parent: The process id of the parent.
        device: Device to render on; with several GPUs, each worker of this machine takes the next.
        threads: The threads that Cycles may use.
    """

    settings: RenderSettings
    staging: Path
    scratch: Path
    parent: int
    limits: Limits
    device: DeviceChoice = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class RenderResult:
    """The result of a finished job: the number of views, the seconds that they took, and what the model lacks."""

    views: int
    seconds: float
    notes: tuple[str, ...] = ()


def require_blender() -> None:
    """Raises a ``UsageError`` that says what to install if Blender cannot be imported here."""
    if importlib.util.find_spec("bpy") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UsageError(
            "rendering needs Blender as a Python module, which is not installed: "
            f"`pip install 'iebench[render]'` in Python 3.11 (this is {version}); "
            "the rest of iebench works without"
        )


def start_worker(setup: WorkerSetup) -> None:
    """Prepares a fresh process: it ends with its parent, leaves Ctrl-C to it, and builds the scene.

    If memory runs out, the kernel ends this process before its parent, and the object is tried again.

    Raises:
        UsageError: This machine has no such device.
    """
    leave_signals_to_parent()
    end_with_parent(setup.parent)
    _be_first_when_memory_runs_out()
    _redirect_output(setup.scratch / LOG_NAME)
    _use_scratch(setup.scratch)
    os.environ.setdefault("CUDA_CACHE_MAXSIZE", _KERNEL_CACHE)
    global _scene, _device
    _leave_parents_blender()
    with alarm(START_ON_CPU), few_cores(setup.threads):
        from render.blender.hardware import list_gpus
        from render.blender.scene import Scene

        devices = choose_devices(setup.device, list_gpus)
    _device = own = device_of(take_slot(setup.staging), devices)
    with _turn_to_compile(setup.staging, own), alarm(START_ON_CPU if own == CPU else START_ON_GPU):
        _scene = Scene(setup.settings, setup.threads, setup.scratch, own)


def list_gpus_alone(parent: int) -> list[Device]:
    """Lists the GPUs that Blender finds, in a process that does nothing else: a driver may crash it."""
    leave_signals_to_parent()
    end_with_parent(parent)
    _redirect_output(Path(os.devnull))
    _leave_parents_blender()
    with tempfile.TemporaryDirectory(prefix="iebench-") as folder:
        _use_scratch(Path(folder))
        from render.blender.hardware import list_gpus

        return list_gpus()


def start_and_render(setup: WorkerSetup, job: Job) -> RenderResult:
    """Renders an object; prepares the process first if the pool replaced one that ended quietly."""
    if _scene is None:
        start_worker(setup)
    return render_object(job, setup.limits)


def render_object(job: Job, limits: Limits) -> RenderResult:
    """Renders all views of one object and stages them.

    Raises:
        ModelError: The model cannot be rendered.
        SourceUnavailable: It cannot be read at the moment.
    """
    if _scene is None:
        raise RuntimeError("start_worker has not run in this process")
    from render.blender.visibility import visibility_notes

    os.ftruncate(1, 0)  # what Blender said of objects before
    start = time.perf_counter()
    with _loaded_model(_scene, job, limits) as loaded:
        views = []
        for view in range(job.settings.views):
            with alarm(limits.view):
                frame = _scene.render(job.latents(view))
            if view == 0:
                loaded = replace(loaded, notes=(*loaded.notes, *visibility_notes()))
            views.append(_encoded(frame, job, view, loaded))
        _scene.clear()
    if job.kept:
        pixels = sum((pixels for _, pixels in views), start=PixelSums())
        stage_object(job.staging, job.item, (sample for sample, _ in views), pixels, _device.kind)
    return RenderResult(len(views), time.perf_counter() - start, loaded.notes)


@contextlib.contextmanager
def _loaded_model(scene: "Scene", job: Job, limits: Limits) -> Iterator["ModelChanges"]:
    """Loads a job's model; if its file system fails, tries again after each of ``_WAITS``."""
    for wait in (*_WAITS, None):
        with contextlib.ExitStack() as stack:
            try:
                with alarm(limits.loading):
                    loaded = _load(scene, job, stack)
            except SourceUnavailable:
                if wait is None:
                    raise
            else:
                yield loaded
                return
        time.sleep(wait)


def _load(scene: "Scene", job: Job, stack: contextlib.ExitStack) -> "ModelChanges":
    try:
        path = stack.enter_context(opened_model(job.item))
        return scene.load(path, job.item.rescaled)
    except ModelError:
        require_source(job.item.source)
        raise
    except OSError as error:
        if error.errno in NO_ROOM:  # for unpacking it
            raise
        raise SourceUnavailable.by(error) from None


def _encoded(frame: "Frame", job: Job, view: int, loaded: "ModelChanges") -> tuple[Sample, PixelSums]:
    item, settings = job.item, job.settings.render
    jpeg = encode_jpeg(
        frame.image, settings.jpeg_quality, settings.chroma, settings.channel_order, settings.jpeg_tables
    )
    metadata = SampleMetadata(
        synset=item.synset,
        object=item.object_id,
        view=view,
        label=item.label,
        latents=tuple(job.latents(view).tolist()),
        depth_scale=None if frame.depth is None else DEPTH_SCALE,
        scale=loaded.scale,
        notes=loaded.notes,
    )
    passes = {member_of(name): encode_pass(name, values) for name, values in frame.passes().items()}
    sample = encode_sample(metadata, {"jpg": jpeg, **passes})
    return sample, PixelSums.from_image(decode_jpeg(jpeg, metadata.key, settings.channel_order))


def _turn_to_compile(staging: Path, device: Device) -> contextlib.AbstractContextManager[None]:
    """Lets the workers of a machine compile or load the kernels of a GPU one after the other."""
    return contextlib.nullcontext() if device == CPU else one_at_a_time(node_folder(staging), "kernels")


def _use_scratch(folder: Path) -> None:
    """Makes a folder the temporary folder of this process, for Python as for Blender."""
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = str(folder)


def _leave_parents_blender() -> None:
    """Removes Blender's folders from ``sys.path``, which a parent with Blender hands down and which hide ``bpy``."""
    sys.path[:] = [folder for folder in sys.path if "/bpy/" not in Path(folder).as_posix()]


def _be_first_when_memory_runs_out() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some containers forbid it
            Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_BE_KILLED))


def _redirect_output(path: Path) -> None:
    """Redirects descriptors 1 and 2 to a file, because Blender writes to them directly and not to ``sys.stdout``."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
