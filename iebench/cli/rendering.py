"""The command that renders, and what it shares with the demo."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iebench.cli.data import MODELS_ARGUMENT, splits_in_words
from iebench.cli.exit_codes import terminate_as_interrupt
from iebench.cli.location import EXISTING_FILE, FOLDER
from iebench.cli.options import GroupedCommand, GroupedOption, options_as
from iebench.cli.progress import ViewBar
from shards.errors import IebenchError, UsageError

# The commands import what they need when they run: PyTorch takes seconds to load.
if TYPE_CHECKING:
    from render.catalog import ObjectRef
    from render.dataset import RenderSummary
    from render.executor import Execution
    from render.latents import ExplicitLatents
    from render.part import Part
    from render.plan import Plan, PlanSettings
    from render.settings import PresetName, RenderSettings

object_option = partial(click.option, cls=GroupedOption, group="Which objects")
view_option = partial(click.option, cls=GroupedOption, group="What the views show")
pixel_option = partial(click.option, cls=GroupedOption, group="How they are rendered")
run_option = partial(click.option, cls=GroupedOption, group="How it runs")


@dataclass(frozen=True)
class Selection:
    """The options that choose among the models of a folder."""

    limit: int | None = None
    objects: Path | None = None
    split_files: tuple[Path, Path] | None = None
    split_csv: Path | None = None
    classes: Path | None = None

    def find_objects(self, models_folder: Path) -> "list[ObjectRef]":
        """Scans a folder and returns the chosen objects in their splits."""
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

    def find_objects_once(self, models_folder: Path, out: Path, add: bool) -> "list[ObjectRef]":
        """Does as ``find_objects`` in one of several processes, of which only the first scans the folder."""
        from render.shared_catalog import shared_catalog
        from shards.files import sha256_of

        files = (self.objects, *(self.split_files or (None, None)), self.split_csv, self.classes)
        digests = [path and sha256_of(path) for path in files]
        request = {"models": str(models_folder.absolute()), "limit": self.limit, "files": digests, "add": add}
        return shared_catalog(out, models_folder, request, partial(self.find_objects, models_folder))


def _execution(**values: Any) -> "Execution":
    """Makes the way in which jobs are run of the options' values."""
    from render.executor import Execution

    return Execution(**values)


def _part(_context: click.Context, _option: click.Parameter, text: str | None) -> "Part | None":
    """Parses the value of ``--part``."""
    from render.part import parse_part

    return None if text is None else parse_part(text)


def _views(**values: Any) -> "tuple[PlanSettings, ExplicitLatents | None]":
    """Returns the dataset's settings, and the latents if a file has them."""
    from render.latents import parse_range, read_latents
    from render.plan import PlanSettings

    file = values.pop("latents")
    settings = PlanSettings(ranges=dict(map(parse_range, values.pop("range"))), **values)
    return settings, read_latents(file, settings.latents) if file else None


def _render_settings(preset: "PresetName", **overrides: Any) -> "RenderSettings":
    """Returns a preset with the values that the user changed."""
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
@options_as(
    "selection",
    Selection,
    object_option(
        "--objects", type=EXISTING_FILE, help="Render these: synset/object lines, .npy or all.csv."
    ),
    object_option(
        "--split-files",
        type=(EXISTING_FILE, EXISTING_FILE),
        metavar="TRAIN VAL",
        help="Lists of the objects of each split, as the published .npy; without them, a hash splits.",
    ),
    object_option(
        "--split-csv",
        rare=True,
        type=EXISTING_FILE,
        help="The split as ShapeNet's all.csv has it; test counts as val.",
    ),
    object_option(
        "--classes",
        rare=True,
        type=EXISTING_FILE,
        help="The class of each model: .json of Objaverse's LVIS, or .csv.",
    ),
    object_option(
        "--limit", type=click.IntRange(1), metavar="N", help="Number of objects, evenly over the catalog."
    ),
)
@options_as(
    "dataset",
    _views,
    view_option(
        "--variant",
        default="3diebench",
        show_default=True,
        type=click.Choice(["3diebench", "translated", "ood"]),
        help="Which latents there are, and their ranges.",
    ),
    view_option(
        "--views",
        default=50,
        show_default=True,
        type=click.IntRange(1),
        metavar="N",
        help="Views of each object.",
    ),
    view_option("--seed", default=0, show_default=True, help="Seed of each object's latents."),
    view_option(
        "--range",
        rare=True,
        multiple=True,
        metavar="LATENT=LOW:HIGH",
        help="Interval to draw from, as rotation_z=-pi:pi.",
    ),
    view_option(
        "--latents",
        rare=True,
        type=EXISTING_FILE,
        help="File of latents (.csv or .npy): rows of object, view, latents.",
    ),
    view_option("--objects-per-shard", rare=True, default=100, show_default=True, type=click.IntRange(1)),
)
@options_as(
    "pixels",
    _render_settings,
    view_option("--passes", metavar="NAMES", help="More images of each view, as mask,depth,normal."),
    pixel_option(
        "--preset",
        default="standard",
        show_default=True,
        type=click.Choice(["draft", "standard", "reference"]),
        help="draft to look at, standard for datasets, reference as the published program.",
    ),
    pixel_option(
        "--size",
        "image_size",
        type=click.IntRange(16, 4096),
        metavar="N",
        help="Size in pixels.  [default: 256]",
    ),
    pixel_option(
        "--samples", rare=True, type=click.IntRange(1), help="Paths traced per pixel; else the preset's."
    ),
    pixel_option(
        "--denoiser",
        rare=True,
        type=click.Choice(["none", "fast", "balanced", "high", "compositor"]),
        help="Denoiser, else the preset's; fast takes half the time of high.",
    ),
    pixel_option(
        "--coincident-faces",
        rare=True,
        type=click.Choice(["drop", "keep"]),
        help="Drop or keep further faces on the same vertices.  [default: drop]",
    ),
    pixel_option(
        "--channel-order",
        rare=True,
        type=click.Choice(["rgb", "bgr"]),
        help="bgr swaps red and blue, as published.",
    ),
)
@options_as(
    "execution",
    _execution,
    run_option(
        "--workers",
        type=click.IntRange(1),
        help="Number of render processes.  [default: cores, of the cluster with ray; 4 to a GPU]",
    ),
    run_option(
        "--view-timeout",
        "timeout",
        rare=True,
        type=click.FloatRange(1),
        help="Seconds for reading a model, and for each view.  [default: by size and samples]",
    ),
    run_option(
        "--engine",
        default="local",
        show_default=True,
        type=click.Choice(["local", "ray"]),
        help="Render here, or on a Ray cluster (RAY_ADDRESS).",
    ),
    run_option(
        "--device",
        default="auto",
        show_default=True,
        type=click.Choice(["auto", "cpu", "cuda", "optix", "hip", "metal"]),
        help="auto: the GPUs that Blender can use, else the CPU.",
    ),
    run_option(
        "--mix-devices",
        rare=True,
        is_flag=True,
        help="Continue a dataset of other devices, whose pixels differ.",
    ),
)
@run_option(
    "--allow-failures",
    rare=True,
    default=0,
    show_default=True,
    type=click.IntRange(0),
    metavar="N",
    help="Exit with 0 if at most N objects fail.",
)
@run_option(
    "--repair", rare=True, is_flag=True, help="Read all sealed shards first; render what is damaged in them."
)
@run_option("--add", is_flag=True, help="MODELS has more objects than OUT was made of; render those.")
@run_option("--part", callback=_part, metavar="N/COUNT", help="Share of the work of this process, as 3/16.")
def render(
    models_folder: Path,
    out: Path,
    selection: Selection,
    dataset: "tuple[PlanSettings, ExplicitLatents | None]",
    pixels: "RenderSettings",
    execution: "Execution",
    allow_failures: int,
    repair: bool,
    add: bool,
    part: "Part | None",
) -> None:
    """Render a folder of 3D models into the shards of a dataset.

    The same command again goes on where it was stopped: what is sound stays, and only what is missing is rendered.
    Objects that cannot be rendered are named in OUT/failures.jsonl (delete lines of it to have them tried again);
    the exit code is 1 if there are more of them than --allow-failures.
    """
    from render.plan import make_plan

    settings, explicit = dataset
    if part is None:
        objects = selection.find_objects(models_folder)
    else:
        objects = selection.find_objects_once(models_folder, out, add)
    plan = make_plan(objects, settings.model_copy(update={"render": pixels}), explicit)
    summary = render_with_bar(plan, out, execution, part, repair, add)
    click.echo(describe(summary, out, part))
    failed = len(summary.failures)
    if failed > allow_failures:
        raise IebenchError(
            f"{failed:,} object{'s' if failed > 1 else ''} could not be rendered; all others are done. "
            f"--allow-failures {failed} accepts that"
        )


def render_with_bar(
    plan: "Plan",
    out: Path,
    execution: "Execution",
    part: "Part | None" = None,
    repair: bool = False,
    add: bool = False,
) -> "RenderSummary":
    """Renders a planned dataset under a progress bar; Ctrl-C and SIGTERM leave it resumable."""
    from render.dataset import render_dataset

    with closing(ViewBar("render")) as bar, terminate_as_interrupt():
        return render_dataset(plan, out, execution, bar, part, repair, add)


def describe(summary: "RenderSummary", out: Path, part: "Part | None" = None) -> str:
    """Describes the outcome of rendering in a few lines."""
    from shards.failures import FAILURES_NAME

    if summary.index is not None:
        lines = [f"{out}: {splits_in_words(summary.index)}"]
    elif summary.shards:
        shards = f"{summary.shards} shard{'s' if summary.shards > 1 else ''}"
        lines = [
            f"part {part} of {out} is done: {shards}; once all parts are, run the same command without --part"
        ]
    else:
        return (
            f"part {part} found nothing to do: every shard of {out} is done, or another part is at work on it"
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
