"""The command that renders, and what it shares with the demo."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iebench.cli.data import FOLDER, MODELS_ARGUMENT
from iebench.cli.exit_codes import terminate_as_interrupt
from iebench.cli.options import GroupedCommand, GroupedOption, gathered
from iebench.cli.progress import ViewBar
from shards.errors import IebenchError, UsageError

# The commands import what they need when they run: PyTorch and webdataset take seconds to load.
if TYPE_CHECKING:
    from render.catalog import ObjectRef
    from render.dataset import RenderSummary
    from render.device_choice import DeviceChoice
    from render.executor import EngineName, Execution
    from render.latents import ExplicitLatents
    from render.part import Part
    from render.plan import Plan, PlanSettings
    from render.settings import PresetName, RenderSettings

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)

which = partial(click.option, cls=GroupedOption, group="Which objects")
shown = partial(click.option, cls=GroupedOption, group="What the views show")
drawn = partial(click.option, cls=GroupedOption, group="How they are rendered")
running = partial(click.option, cls=GroupedOption, group="How it runs")


@dataclass(frozen=True)
class Selection:
    """Which of the models are rendered."""

    limit: int | None = None
    objects: Path | None = None
    split_files: tuple[Path, Path] | None = None
    split_csv: Path | None = None
    classes: Path | None = None

    def of(self, models_folder: Path) -> "list[ObjectRef]":
        """The chosen objects of a folder, in their splits."""
        from render.catalog import limited, scan_models, select_objects, with_classes, with_splits
        from shards.class_lists import read_classes, read_official_split
        from shards.lists import read_names, read_splits

        if self.split_files is not None and self.split_csv is not None:
            raise UsageError("--split-files and --split-csv both give the split; choose one")
        found = scan_models(models_folder)
        if self.classes is not None:
            found = with_classes(found, read_classes(self.classes))
        if self.split_csv is not None:
            found = with_splits(found, read_official_split(self.split_csv), models_folder)
        if self.split_files is not None:
            found = with_splits(found, read_splits(*self.split_files), models_folder)
        if self.objects is not None:
            found = select_objects(found, read_names(self.objects))
        return limited(found, self.limit)

    def shared(self, models_folder: Path, out: Path, add: bool) -> "list[ObjectRef]":
        """The same for one of several processes, of which only the first scans the folder."""
        from render.shared_catalog import shared_catalog
        from shards.files import sha256_of

        files = (self.objects, *(self.split_files or (None, None)), self.split_csv, self.classes)
        digests = [path and sha256_of(path) for path in files]
        request = {"models": str(models_folder.absolute()), "limit": self.limit, "files": digests, "add": add}
        return shared_catalog(out, models_folder, request, partial(self.of, models_folder))


@dataclass(frozen=True)
class Running:
    """How the jobs are run."""

    workers: int | None
    view_timeout: float | None = None
    engine: "EngineName" = "local"
    part: "Part | None" = None
    device: "DeviceChoice" = "auto"
    mix_devices: bool = False
    allow_failures: int = 0
    repair: bool = False
    add: bool = False

    @property
    def execution(self) -> "Execution":
        """The same in the renderer's words."""
        from render.executor import Execution

        return Execution(self.workers, self.view_timeout, self.engine, self.device, self.mix_devices)


def _part(_context: click.Context, _option: click.Parameter, text: str | None) -> "Part | None":
    """The part that ``--part`` names."""
    from render.part import parse_part

    return None if text is None else parse_part(text)


def _views(**values: Any) -> "tuple[PlanSettings, ExplicitLatents | None]":
    """The dataset's settings, and the latents where a file gives them."""
    from render.latents import parse_range, read_latents
    from render.plan import PlanSettings

    file = values.pop("latents")
    settings = PlanSettings(ranges=dict(map(parse_range, values.pop("range"))), **values)
    return settings, read_latents(file, settings.latents) if file else None


def _render_settings(preset: "PresetName", **overrides: Any) -> "RenderSettings":
    """A preset with what the user wants otherwise."""
    from render.settings import PRESETS, RenderSettings
    from shards.passes import parse_passes

    given = {name: value for name, value in overrides.items() if value is not None}
    if "passes" in given:
        given["passes"] = parse_passes(given["passes"])
    return RenderSettings.model_validate({**PRESETS[preset].model_dump(), **given})


@click.command(
    cls=GroupedCommand,
    epilog="Example: iebench render data/models data/views --views 16 --size 64 --workers 2",
)
@MODELS_ARGUMENT
@click.argument("out", type=FOLDER)
@gathered(
    "selection",
    Selection,
    which(
        "--objects", type=FILE, help="Only those named here: synset/object lines, .npy or ShapeNet's all.csv."
    ),
    which(
        "--split-files",
        type=(FILE, FILE),
        metavar="TRAIN VAL",
        help="Lists of the objects of each split, as the published .npy; else split by a hash.",
    ),
    which(
        "--split-csv",
        rare=True,
        type=FILE,
        help="The split as ShapeNet's all.csv has it; test counts as val.",
    ),
    which(
        "--classes", rare=True, type=FILE, help="The class of each model: .json of Objaverse's LVIS, or .csv."
    ),
    which("--limit", type=click.IntRange(1), metavar="N", help="So many objects, evenly over the catalogue."),
)
@gathered(
    "dataset",
    _views,
    shown(
        "--variant",
        default="3diebench",
        show_default=True,
        type=click.Choice(["3diebench", "translated", "ood"]),
        help="Which latents there are, and their ranges.",
    ),
    shown(
        "--views",
        default=50,
        show_default=True,
        type=click.IntRange(1),
        metavar="N",
        help="Views of each object.",
    ),
    shown("--seed", default=0, show_default=True, help="With the object's name, decides its latents."),
    shown(
        "--range",
        rare=True,
        multiple=True,
        metavar="LATENT=LOW:HIGH",
        help="Draw from here, as rotation_z=-pi:pi.",
    ),
    shown(
        "--latents",
        rare=True,
        type=FILE,
        help="The very latents (.csv or .npy): rows of object, view, latents.",
    ),
    shown("--objects-per-shard", rare=True, default=100, show_default=True, type=click.IntRange(1)),
)
@gathered(
    "pixels",
    _render_settings,
    shown("--passes", metavar="NAMES", help="More images of each view, as mask,depth,normal."),
    drawn(
        "--preset",
        default="standard",
        show_default=True,
        type=click.Choice(["draft", "standard", "reference"]),
        help="To look at, for datasets, or as the published generator does it.",
    ),
    drawn(
        "--size",
        "image_size",
        type=click.IntRange(16, 4096),
        metavar="N",
        help="Pixels a side.  [default: 256]",
    ),
    drawn("--samples", rare=True, type=click.IntRange(1), help="Paths traced per pixel; else the preset's."),
    drawn(
        "--denoiser",
        rare=True,
        type=click.Choice(["none", "fast", "balanced", "high", "compositor"]),
        help="Else the preset's; fast takes half the time of high.",
    ),
    drawn(
        "--coincident-faces",
        rare=True,
        type=click.Choice(["drop", "keep"]),
        help="Of faces on the same vertices, show one or all.  [default: drop]",
    ),
    drawn(
        "--channel-order",
        rare=True,
        type=click.Choice(["rgb", "bgr"]),
        help="bgr: red and blue as published.",
    ),
)
@gathered(
    "run",
    Running,
    running(
        "--workers",
        type=click.IntRange(1),
        help="Render processes.  [default: cores, of the cluster with ray; 4 to a GPU]",
    ),
    running(
        "--view-timeout",
        rare=True,
        type=click.FloatRange(1),
        help="Seconds for reading a model, and for each view.  [default: by size and samples]",
    ),
    running(
        "--engine",
        default="local",
        show_default=True,
        type=click.Choice(["local", "ray"]),
        help="This machine, or a Ray cluster (RAY_ADDRESS).",
    ),
    running(
        "--device",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "cpu", "cuda", "optix", "hip", "metal"]),
        help="auto: the GPUs that Blender can use, else the CPU.",
    ),
    running(
        "--mix-devices",
        rare=True,
        is_flag=True,
        help="Go on although other devices began; their pixels differ.",
    ),
    running(
        "--allow-failures",
        rare=True,
        default=0,
        show_default=True,
        type=click.IntRange(0),
        metavar="N",
        help="Exit with 0 although so many objects fail.",
    ),
    running(
        "--repair",
        rare=True,
        is_flag=True,
        help="Read all sealed shards first; render what is damaged in them.",
    ),
    running("--add", is_flag=True, help="MODELS has more objects than OUT was made of; render those."),
    running("--part", callback=_part, metavar="N/COUNT", help="One of several that share the work, as 3/16."),
)
def render(
    models_folder: Path,
    out: Path,
    selection: Selection,
    dataset: "tuple[PlanSettings, ExplicitLatents | None]",
    pixels: "RenderSettings",
    run: Running,
) -> None:
    """Render a folder of 3D models into the shards of a dataset.

    The same command again goes on where it was stopped: what is sound stays, and only what is missing is rendered.
    Objects that cannot be rendered are named in OUT/failures.jsonl (delete lines of it to have them tried again);
    the exit code is 1 if there are more of them than --allow-failures.
    """
    settings, explicit = dataset
    settings = settings.model_copy(update={"render": pixels})
    summary = render_with_bar(models_folder, out, settings, explicit, selection, run)
    click.echo(describe(summary, out, run.part))
    failed = len(summary.failures)
    if failed > run.allow_failures:
        raise IebenchError(
            f"{failed:,} object{'s' if failed > 1 else ''} could not be rendered; all others are done. "
            f"--allow-failures {failed} accepts that"
        )


def render_with_bar(
    models_folder: Path,
    out: Path,
    settings: "PlanSettings",
    explicit: "ExplicitLatents | None",
    selection: Selection,
    run: Running,
) -> "RenderSummary":
    """Plans and renders a dataset under a progress bar; Ctrl-C and SIGTERM leave it resumable."""
    from render.plan import make_plan

    objects = (
        selection.of(models_folder) if run.part is None else selection.shared(models_folder, out, run.add)
    )
    return render_plan_with_bar(make_plan(objects, settings, explicit), out, run)


def render_plan_with_bar(plan: "Plan", out: Path, run: Running) -> "RenderSummary":
    """Renders what was planned under a progress bar; Ctrl-C and SIGTERM leave it resumable."""
    from render.dataset import render_dataset

    bar = ViewBar("render")
    try:
        with terminate_as_interrupt():
            return render_dataset(plan, out, run.execution, bar, run.part, run.repair, run.add)
    finally:
        bar.close()


def describe(summary: "RenderSummary", out: Path, part: "Part | None" = None) -> str:
    """What a render came to, in a few lines."""
    from shards.failures import FAILURES_NAME

    lines = []
    if summary.index is not None:
        splits = ", ".join(
            f"{name}: {split.views:,} views of {split.objects:,} objects in {len(split.shards)} shards"
            for name, split in summary.index.splits.items()
        )
        lines.append(f"{out}: {splits}")
    elif not summary.shards:
        return (
            f"part {part} found nothing to do: every shard of {out} is done, or another part is at work on it"
        )
    else:
        lines.append(
            f"part {part} of {out} is done: {summary.shards} shard{'s' if summary.shards > 1 else ''}; "
            "once all parts are, run the same command without --part"
        )
    if not summary.rendered_views:
        lines.append("nothing was missing; nothing was rendered")
    if summary.failures:
        where = f" ({out / FAILURES_NAME})" if part is None else ""
        lines.append(f"{len(summary.failures)} objects failed{where}:")
        lines += [f"  {item.synset}/{item.object}: {item.reason}" for item in summary.failures[:10]]
        if len(summary.failures) > 10:
            lines.append(f"  and {len(summary.failures) - 10} more")
    return "\n".join(lines)
