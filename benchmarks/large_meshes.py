"""What large meshes cost: reading a file, keeping one of each two faces, and a view with and without a second user.

Cycles builds its acceleration structure anew for each view of a mesh that only one object uses. Times are CPU time
of this process, whose Blender has one thread; views with and without the second user take turns::

    python benchmarks/large_meshes.py
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from render.output import redirected
from render.settings import PRESETS
from render.threads import few_cores

with few_cores(1):
    import bpy

    from render.blender import models
    from render.blender.scene import Scene

VIEW = np.array([0.4, -0.3, 0.8, 0.5, 0.3, 1.0, 0.5])


@click.command()
@click.option("--faces", default=[20_000, 100_000, 400_000, 500_000], multiple=True, help="Of the file.")
@click.option("--turns", default=5, show_default=True, help="Views of each kind.")
def main(faces: tuple[int, ...], turns: int) -> None:
    """Prints a Markdown table; half of the faces of each file are twins of the other half."""
    models.LARGE_MESH = 0  # so that all have a second user
    with redirected(1, Path(os.devnull)), tempfile.TemporaryDirectory() as folder:
        rows = [_measured(count, Path(folder), turns) for count in faces]
    print(
        "| faces in the file, kept | load, s | of it: import | one of each two | view, s | alone | saved, ms |"
    )
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        print(row)


def _measured(faces: int, folder: Path, turns: int) -> str:
    path = folder / "m.obj"
    path.write_text("\n".join(sheet_lines(int((faces / 4) ** 0.5))) + "\n")
    scene = Scene(PRESETS["standard"], threads=1)
    mending: list[float] = []
    mend = models.mend_faces
    models.mend_faces = lambda *mesh: mending.append(_seconds(lambda: mend(*mesh)))
    try:
        load = _seconds(lambda: scene.load(path))
    finally:
        models.mend_faces = mend
    (item,) = (item for item in bpy.data.objects if item.pass_index == 1)
    shared, alone = [], []
    for _ in range(turns):
        shared.append(_view(scene))
        (second,) = (other for other in bpy.data.objects if other.data == item.data and other != item)
        bpy.data.objects.remove(second)
        alone.append(_view(scene))
        models.share_large_mesh(item)
    kept = len(item.data.polygons)
    scene.close()
    with_second, without = min(shared), min(alone)  # others use the machine
    return (
        f"| {2 * kept:,}, {kept:,} | {load:.2f} | {load - sum(mending):.2f} | {sum(mending):.2f} "
        f"| {with_second:.3f} | {without:.3f} | {1000 * (without - with_second):.0f} |"
    )


def _view(scene: Scene) -> float:
    """Seconds of the second of two views, the first of which brings the change of users to Cycles."""
    scene.render(VIEW)
    return _seconds(lambda: scene.render(VIEW + 0.1))


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def sheet_lines(side: int) -> list[str]:
    """A wavy sheet of 2 * side² triangles with a normal for each vertex, every face twice, as lines of an OBJ file."""
    positions = np.linspace(-0.5, 0.5, side + 1)
    x, z = (axis.ravel() for axis in np.meshgrid(positions, positions))
    y = 0.05 * np.sin(20 * x) * np.sin(20 * z)
    slopes = [-np.cos(20 * x) * np.sin(20 * z), np.ones_like(x), -np.sin(20 * x) * np.cos(20 * z)]
    lines = [f"v {a:.6f} {b:.6f} {c:.6f}" for a, b, c in zip(x, y, z, strict=True)]
    for sign in (1e-3, -1e-3):
        lines += [f"vn {sign * a:.4g} {sign * b:.4g} {sign * c:.4g}" for a, b, c in zip(*slopes, strict=True)]
    first = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).ravel() + 1
    count = (side + 1) ** 2
    for a in first.tolist():
        b, c, d = a + 1, a + side + 1, a + side + 2
        for p, q, r in ((a, c, b), (b, c, d)):
            lines.append(f"f {p}//{p} {q}//{q} {r}//{r}")
            lines.append(f"f {r}//{r + count} {q}//{q + count} {p}//{p + count}")
    return lines


if __name__ == "__main__":
    main()
