"""What a folder of models holds, and what of it cannot be rendered."""

import signal
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh

from render.catalog import ObjectRef
from render.errors import ModelError, unreadable
from render.sources.opening import opened_model
from render.sources.soundness import NO_FACES, require_extent, require_finite, require_sound
from shards.shapenet import class_name


@dataclass(frozen=True)
class Report:
    """Objects by class, and the reasons why some cannot be used."""

    objects: tuple[ObjectRef, ...]
    reasons: dict[tuple[str, str], str]

    @property
    def usable(self) -> int:
        """How many objects can be used."""
        return len(self.objects) - len(self.reasons)

    def text(self) -> str:
        """A table per class, then a line per object that cannot be used."""
        total = Counter(item.synset for item in self.objects)
        train = Counter(item.synset for item in self.objects if item.split == "train")
        broken = Counter(synset for synset, _ in self.reasons)
        lines = [f"{'synset':<10} {'class':<20} {'objects':>8} {'train':>7} {'val':>6} {'unusable':>9}"]
        for synset in sorted(total):
            counts = (total[synset], train[synset], total[synset] - train[synset], broken[synset])
            lines.append(
                f"{synset:<10} {class_name(synset):<20} {counts[0]:>8} {counts[1]:>7} {counts[2]:>6} {counts[3]:>9}"
            )
        lines.append(f"{len(self.objects):,} objects in {len(total)} classes, {self.usable:,} usable")
        lines += [f"  {synset}/{name}: {reason}" for (synset, name), reason in sorted(self.reasons.items())]
        return "\n".join(lines)


def check_models(objects: Sequence[ObjectRef], workers: int, advance: Callable[[], object]) -> Report:
    """Reads every model and says which cannot be rendered.

    Args:
        objects: the catalogue.
        workers: processes to read them with.
        advance: called after each object.
    """
    reasons = {}
    with ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_parent) as pool:
        try:
            found = pool.map(why_unusable, objects, chunksize=8)
            for item, reason in zip(objects, found, strict=True):
                if reason:
                    reasons[item.synset, item.object_id] = reason
                advance()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Report(tuple(objects), reasons)


def why_unusable(item: ObjectRef) -> str:
    """Why a model cannot be rendered, in the words of a render; empty where it can."""
    try:
        with opened_model(item) as path:
            if path.exists() and not path.is_file():
                return "it is no file"
            require_sound(path)
            _require_geometry(path, item.rescaled)
    except ModelError as error:
        return str(error)
    return ""


def _require_geometry(path: Path, rescaled: bool) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(path, process=False, skip_materials=True)
            placed = scene.dump() if path.suffix.lower() in (".glb", ".gltf") else scene.geometry.values()
            meshes = [mesh for mesh in placed if isinstance(mesh, trimesh.Trimesh) and _has_faces(mesh)]
    except Exception as error:  # trimesh raises whatever its parser stumbles over
        raise unreadable(path) from error
    if not meshes:
        raise ModelError(NO_FACES)
    vertices = np.concatenate([mesh.vertices for mesh in meshes])
    require_finite(vertices)
    require_extent(float(np.ptp(vertices, axis=0).max()), rescaled)


def _has_faces(mesh: trimesh.Trimesh) -> bool:
    """Whether a face has three different corners; Blender drops others."""
    first, second, third = mesh.faces.reshape(-1, 3).T
    return bool(((first != second) & (second != third) & (third != first)).any())


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
