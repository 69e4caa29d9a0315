"""Does one render worker's memory stay flat? Renders many objects in one process and prints what it takes.

Example: python benchmarks/render_memory.py --objects 1000
"""

import itertools
import multiprocessing
import os
import re
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import click

from render.catalog import scan_models
from render.limits import limits_of
from render.plan import Job, PlanSettings, make_plan
from render.procedural import CLASSES, make_models
from render.settings import RenderSettings
from render.worker import WorkerSetup, render_object, start_worker

FIRST = 50
"""The object after which a worker counts as warm; by then each of the models has been seen once."""
LARGEST_GROWTH = 0.05


class Usage(NamedTuple):
    """What a process holds after so many objects; memory in MiB."""

    objects: int
    resident: float
    peak: float
    descriptors: int


@click.command()
@click.option("--objects", default=1000, show_default=True, type=click.IntRange(FIRST + 1))
@click.option("--size", default=32, show_default=True, help="Pixels a side.")
@click.option("--views", default=2, show_default=True, help="Views of each object.")
def main(objects: int, size: int, views: int) -> None:
    """Render OBJECTS procedural objects in one worker; exits with 1 where its memory or files grow."""
    with tempfile.TemporaryDirectory() as folder:
        models, staging = Path(folder) / "models", Path(folder) / "staging"
        for name in ("objects", "logs"):
            (staging / name).mkdir(parents=True)
        make_models(models, None, objects_per_class=-(-FIRST // len(CLASSES)))
        render = RenderSettings(image_size=size, samples=1, denoiser="fast")
        plan = make_plan(scan_models(models, FIRST), PlanSettings(views=views, render=render))
        jobs = itertools.islice(itertools.cycle(plan.job(item, staging) for item in plan.objects), objects)
        click.echo(f"{'objects':>8} {'resident MiB':>12} {'peak MiB':>10} {'descriptors':>12}")
        usages = []
        for usage in _usages(list(jobs)):
            usages.append(usage)
            if usage.objects == FIRST or usage.objects % 100 == 0 or usage.objects == objects:
                click.echo("{:>8,} {:>12.1f} {:>10.1f} {:>12}".format(*usage))
    first, last = usages[FIRST - 1], usages[-1]
    growth = last.peak / first.peak - 1
    opened = last.descriptors - first.descriptors
    click.echo(f"from object {FIRST} to {objects:,}: peak {growth:+.1%}, {opened:+d} file descriptors")
    raise SystemExit(growth >= LARGEST_GROWTH or opened > 0)


def _usages(jobs: list[Job]) -> Iterator[Usage]:
    """Renders the jobs in a fresh process; yields what it holds after each."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(jobs, there), daemon=True)
    process.start()
    there.close()
    for _ in jobs:
        yield here.recv()
    process.kill()  # Blender 4.5 may wait for a thread of its own for ever when it exits
    process.join()


def _work(jobs: list[Job], answers: Connection) -> None:
    settings = jobs[0].settings.render
    limits = limits_of(settings)
    with tempfile.TemporaryDirectory() as scratch:
        start_worker(WorkerSetup(settings, jobs[0].staging, Path(scratch), os.getppid(), limits))
        for number, job in enumerate(jobs, 1):
            render_object(job, limits)
            answers.send(_usage(number))


def _usage(objects: int) -> Usage:
    status = Path("/proc/self/status").read_text()
    resident, peak = (
        int(re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[1]) / 1024 for name in ("VmRSS", "VmHWM")
    )
    return Usage(objects, resident, peak, len(list(Path("/proc/self/fd").iterdir())))


if __name__ == "__main__":
    main()
