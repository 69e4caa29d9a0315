"""What runs in a render process: one warm Blender, one object at a time."""

import contextlib
import importlib.util
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from render.devices import CPU, DeviceChoice, choose_devices, device_of
from render.plan import Job
from render.settings import RenderSettings
from render.slots import take_slot
from render.sources.opening import opened_model
from render.staging import stage_object
from render.threads import one_core
from shards.errors import UsageError
from shards.images import decode_jpeg, encode_jpeg
from shards.locks import one_at_a_time
from shards.passes import DEPTH_SCALE, encode_pass, member_of
from shards.pixels import PixelSums
from shards.processes import end_with_parent, leave_signals_to_parent
from shards.samples import Sample, encode_sample
from shards.schema import SampleMetadata

if TYPE_CHECKING:
    from render.blender.models import Loaded
    from render.blender.scene import Scene

_FIRST_TO_BE_KILLED = 1000  # of /proc/PID/oom_score_adj, whose range is -1000 to 1000

_scene: "Scene | None" = None


@dataclass(frozen=True)
class Rendered:
    """What a finished job tells: how many views there are and how long they took, in seconds."""

    views: int
    seconds: float


def require_blender() -> None:
    """Makes sure that Blender can be imported here.

    Raises:
        UsageError: ``bpy`` is not installed; the message says what to install.
    """
    if importlib.util.find_spec("bpy") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UsageError(
            "rendering needs Blender as a Python module, which is not installed: "
            f"`pip install 'iebench[render]'` in Python 3.11 (this is {version}); "
            "the rest of iebench works without"
        )


def start_worker(settings: RenderSettings, staging: Path, parent: int, device: DeviceChoice = "auto") -> None:
    """Prepares a fresh process: it ends with its parent, leaves Ctrl-C to it, and builds the scene.

    When memory runs out, the kernel shall end this process, whose object is then tried again, not the parent.

    Args:
        settings: of the renders.
        staging: the folder whose ``logs`` keep what Blender prints.
        parent: process id of the parent.
        device: what to render on; with several GPUs, each worker of this machine takes the next.

    Raises:
        UsageError: this machine has no such device.
    """
    leave_signals_to_parent()
    end_with_parent(parent)
    _be_first_when_memory_runs_out()
    _redirect_output(staging / "logs" / f"worker-{os.getpid()}.log")
    global _scene
    _leave_parents_blender()
    with one_core():
        from render.blender.devices import list_gpus
        from render.blender.scene import Scene

    own = device_of(take_slot(staging), choose_devices(device, list_gpus))
    alone = (
        contextlib.nullcontext() if own == CPU else one_at_a_time(staging, "kernels")
    )  # one compiles for all
    with alone:
        _scene = Scene(settings, threads=1, folder=staging, device=own)  # which goes with the staging folder


def is_started() -> bool:
    """Whether this process is ready to render."""
    return _scene is not None


def render_object(job: Job) -> Rendered:
    """Renders all views of one object and stages them.

    Raises:
        ModelError: the model cannot be rendered.
    """
    if _scene is None:
        raise RuntimeError("start_worker has not run in this process")
    start = time.perf_counter()
    with opened_model(job.item, job.staging) as path:
        loaded = _scene.load(path, job.item.rescaled)
        views = [_render_view(_scene, job, view, loaded) for view in range(job.settings.views)]
        _scene.clear()
    pixels = sum((pixels for _, pixels in views), start=PixelSums())
    stage_object(job.staging, job.item, (sample for sample, _ in views), pixels)
    return Rendered(len(views), time.perf_counter() - start)


def _render_view(scene: "Scene", job: Job, view: int, loaded: "Loaded") -> tuple[Sample, PixelSums]:
    item, settings = job.item, job.settings.render
    latents = job.latents(view)
    frame = scene.render(latents)
    jpeg = encode_jpeg(
        frame.image, settings.jpeg_quality, settings.chroma, settings.channel_order, settings.jpeg_tables
    )
    metadata = SampleMetadata(
        synset=item.synset,
        object=item.object_id,
        view=view,
        label=item.label,
        latents=tuple(latents.tolist()),
        depth_scale=None if frame.depth is None else DEPTH_SCALE,
        scale=loaded.scale,
        notes=loaded.notes,
    )
    passes = {member_of(name): encode_pass(name, values) for name, values in frame.passes().items()}
    sample = encode_sample(metadata, {"jpg": jpeg, **passes})
    return sample, PixelSums.of(decode_jpeg(jpeg, metadata.key, settings.channel_order))


def _leave_parents_blender() -> None:
    """A parent that has loaded Blender hands down a path on which Blender's scripts hide Blender itself."""
    sys.path[:] = [place for place in sys.path if "/bpy/" not in Path(place).as_posix()]


def _be_first_when_memory_runs_out() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # some containers forbid it
            Path("/proc/self/oom_score_adj").write_text(str(_FIRST_TO_BE_KILLED))


def _redirect_output(path: Path) -> None:
    """Blender prints on the process's own descriptors, past ``sys.stdout``."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)
