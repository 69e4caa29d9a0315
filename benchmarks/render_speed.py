"""How fast views are rendered: every preset against the published settings, and two workers against one.

All of it in one run on the same models, the presets in turns; of the presets the CPU time is measured, so that the
ratios hold on a machine whose speed varies and that others use. `reference` does what the published generator does: its settings, the compositor's denoiser, and a PNG
that is written and read back to become a JPEG::

    python benchmarks/render_speed.py --models data/models --rounds 6

Without ``--models`` they are the golden ones of tests/data, those with every face twice apart from the others;
``--group doubled --presets`` measures less.
"""

import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

from render.catalog import ObjectRef, scan_models
from render.dataset import render_dataset
from render.executor import Execution
from render.limits import limits_of
from render.plan import Job, PlanSettings, make_plan
from render.scratch import Scratch
from render.settings import PRESETS, RenderSettings
from render.worker import WorkerSetup, render_object, start_worker
from shards.one_process import OneProcess

DATA = Path(__file__).parents[1] / "tests" / "data"
VIEWS = 3
OBJECTS = 4


@click.command()
@click.option("--models", type=click.Path(path_type=Path, file_okay=False), help="Else the golden ones.")
@click.option("--rounds", default=3, show_default=True, help="Turns of each preset.")
@click.option("--size", default=256, show_default=True, help="Pixels a side.")
@click.option(
    "--group", "only", type=click.Choice(["clean", "doubled"]), help="Of the golden ones; else both."
)
@click.option("--presets", "presets_alone", is_flag=True, help="Measure nothing but the presets.")
def main(models: Path | None, rounds: int, size: int, only: str | None, presets_alone: bool) -> None:
    """Prints Markdown tables."""
    with tempfile.TemporaryDirectory(prefix="iebench-speed-") as name:
        folder = Path(name)
        groups = {"given": scan_models(models, OBJECTS)} if models else _golden()
        if only and not models:
            groups = {only: groups[only]}
        for group, objects in groups.items():
            _presets(group, objects, folder / group, rounds, size)
        if presets_alone:
            return
        _shares(objects, folder, rounds, size)
        _workers(objects, folder, size)


def _golden() -> dict[str, list[ObjectRef]]:
    """The golden models by group, ``clean`` and ``doubled``."""
    found = scan_models(DATA / "models")
    return {
        "clean": [item for item in found if not item.object_id.endswith("_doubled")][:OBJECTS],
        "doubled": [item for item in found if item.object_id.endswith("_doubled")],
    }


def _presets(group: str, objects: list[ObjectRef], folder: Path, rounds: int, size: int) -> None:
    """CPU time of each preset on one thread, in turns."""
    settings = {name: preset.model_copy(update={"image_size": size}) for name, preset in PRESETS.items()}
    renderers = {
        name: _Renderer(preset, folder / name, objects, through_png=name == "reference")
        for name, preset in settings.items()
    }
    seconds = _turns(renderers, rounds)
    print(
        f"\n{size} px, one thread, {rounds} turns of {len(objects)} {group} objects with {VIEWS} views each:\n"
    )
    print("| preset | CPU s an image | images/s | times `reference` |\n|---|---|---|---|")
    for name, times in seconds.items():
        mean = np.mean(times)
        ratio = np.median(np.array(seconds["reference"]) / np.array(times))
        print(f"| `{name}` | {mean:.3f} | {1 / mean:.2f} | {ratio:.1f} |")


def _shares(objects: list[ObjectRef], folder: Path, rounds: int, size: int) -> None:
    """What of an image's time is path tracing, denoising, and neither.

    Path tracing is the slope over samples; what is left of the time at one sample is neither. Denoising is
    the difference that it makes.
    """
    standard = PRESETS["standard"].model_copy(update={"image_size": size})
    more = 2 * standard.samples
    variants = {
        "standard": standard,
        "bare": standard.model_copy(update={"denoiser": "none"}),
        "more": standard.model_copy(update={"denoiser": "none", "samples": more}),
    }
    seconds = _turns(
        {name: _Renderer(item, folder / f"share-{name}", objects) for name, item in variants.items()}, rounds
    )
    whole, bare, twice = (float(np.mean(seconds[name])) for name in variants)
    sample = (twice - bare) / (more - standard.samples)
    trace, denoise = sample * standard.samples, whole - bare
    rest = whole - trace - denoise
    print(
        f"\nWhere an image of `standard` spends its {whole:.3f} s (import, JPEG and tar included in the rest):\n"
    )
    print("| path tracing | denoising | rest |\n|---|---|---|")
    print(f"| {trace / whole:.0%} | {denoise / whole:.0%} | {rest / whole:.0%} |")


def _workers(objects: list[ObjectRef], folder: Path, size: int) -> None:
    """Images/s of whole renders with one worker and with two, from the first object's end to the last's."""
    settings = PlanSettings(
        views=2 * VIEWS,
        render=PRESETS["standard"].model_copy(update={"image_size": size}),
        objects_per_shard=2,
    )
    plan = make_plan(objects, settings)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(3):
        for workers in rates:
            clock = ObjectClock()
            render_dataset(plan, folder / f"views-{turn}-{workers}", Execution(workers, device="cpu"), clock)
            rates[workers].append(clock.rate(skip=workers))
    one, two = (float(np.mean(rates[workers])) for workers in (1, 2))
    turns = ", ".join(f"{double / single:.2f}" for single, double in zip(*rates.values(), strict=True))
    print(
        f"\nWhole renders on {os.cpu_count()} cores: one worker {one:.2f} images/s, two {two:.2f}: "
        f"{two / one:.2f} times (turns: {turns})"
    )


class _Renderer:
    """A warm render process that renders all objects when asked, as a dataset's worker does."""

    def __init__(
        self, settings: RenderSettings, folder: Path, objects: list[ObjectRef], through_png: bool = False
    ) -> None:
        for name in ("logs", "objects"):
            (folder / name).mkdir(parents=True)
        plan = make_plan(objects, PlanSettings(views=VIEWS, render=settings))
        self._jobs = [plan.job(item, folder) for item in objects]
        self._png = folder / "frame.png" if through_png else None
        self._scratch = Scratch()
        self._limits = limits_of(settings)
        setup = WorkerSetup(
            settings, folder, self._scratch.worker_folder(), os.getpid(), self._limits, "cpu", 1
        )
        self._process = OneProcess()
        self._process.submit(start_worker, setup).result()

    def warm_up(self) -> None:
        """Renders the first object, which does not count."""
        self._render(self._jobs[0])

    def __call__(self) -> float:
        """CPU seconds an image."""
        start = self._spent()
        views = sum(self._render(job) for job in self._jobs)
        seconds = self._spent() - start
        if self._png:
            seconds += _png_seconds(self._png, self._jobs)
        return seconds / views

    def _render(self, job: Job) -> int:
        return self._process.submit(render_object, job, self._limits).result().views

    def _spent(self) -> float:
        return self._process.submit(time.process_time).result()

    def close(self) -> None:
        self._process.stop()
        self._process.join()
        self._scratch.remove()


def _png_seconds(path: Path, jobs: list[Job]) -> float:
    """CPU seconds of writing every image as PNG and reading it back."""
    size = jobs[0].settings.render.image_size
    pixels = np.random.default_rng(0).integers(0, 40, (size, size, 3)).astype(np.uint8)
    start = time.process_time()
    for _ in range(len(jobs) * VIEWS):
        Image.fromarray(pixels).save(path)
        with Image.open(path) as image:
            np.array(image)
    return time.process_time() - start


def _turns(renderers: dict[str, _Renderer], rounds: int) -> dict[str, list[float]]:
    """Lets each renderer work in turn, once it is warm."""
    seconds: dict[str, list[float]] = {name: [] for name in renderers}
    try:
        for renderer in renderers.values():
            renderer.warm_up()
        for _ in range(rounds):
            for name, renderer in renderers.items():
                seconds[name].append(renderer())
    finally:
        for renderer in renderers.values():
            renderer.close()
    return seconds


class ObjectClock:
    """Notes when each object of a render is done."""

    def __init__(self) -> None:
        self._ends: list[tuple[float, int]] = []

    def start(self, total: int, done: int) -> None: ...

    def note(self, sentence: str) -> None: ...

    def advance(self, views: int) -> None:
        self._ends.append((time.perf_counter(), views))

    def failed(self, item: ObjectRef, reason: str) -> None:
        """A benchmark on broken models would be none."""
        raise RuntimeError(f"{item.object_id}: {reason}")

    def rate(self, skip: int) -> float:
        """Images/s after the first ``skip`` objects, one for each worker, which start with Blender and kernels."""
        ends = self._ends[skip - 1 :]
        return sum(views for _, views in ends[1:]) / (ends[-1][0] - ends[0][0])


if __name__ == "__main__":
    main()
