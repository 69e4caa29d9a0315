"""Commands that make shards of a published dataset or of pictures, and write the published layout again."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from iebench.cli.data import DATASET_ARGUMENT, WORKERS_OPTION, splits_in_words
from iebench.cli.exit_codes import FriendlyGroup, terminate_as_interrupt
from iebench.cli.location import EXISTING_FILE, FOLDER
from iebench.cli.progress import ViewBar, stoppable_bar
from shards.child_processes import available_cores
from shards.errors import UsageError

# The commands import what they need when they run: PyTorch takes seconds to load.
if TYPE_CHECKING:
    from shards.images import ChannelOrder
    from shards.lists import Name
    from shards.pack_run import Packed, PackPlan
    from shards.variants import Variant


REPAIR_OPTION = click.option(
    "--repair", is_flag=True, help="Read all sealed shards first; pack what is damaged in them."
)


class _PackGroup(FriendlyGroup):
    """A group whose default command is ``published``: ``iebench pack SRC OUT``."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Inserts the default command if none is named."""
        if args and args[0] not in self.commands and not set(args) & {"-h", "--help"}:
            args = ["published", *args]
        return super().parse_args(context, args)


@click.group(cls=_PackGroup)
def pack() -> None:
    """Make shards of a published dataset or of pictures.

    `iebench pack SRC OUT` is `iebench pack published SRC OUT`.
    """


@pack.command(
    "published",
    epilog="Example: iebench pack published 3DIEBench.tar.gz data/3diebench --split-files train_images.npy val_images.npy --channel-order bgr",
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("out", type=FOLDER)
@click.option(
    "--split-files",
    type=(EXISTING_FILE, EXISTING_FILE),
    metavar="TRAIN VAL",
    help="Lists of the objects of each split, as the published .npy; without them, a hash splits.",
)
@click.option(
    "--channel-order",
    default="rgb",
    show_default=True,
    type=click.Choice(["rgb", "bgr"]),
    help="bgr: red and blue are swapped, as in the published images; reading swaps them back.",
)
@click.option(
    "--variant",
    type=click.Choice(["3diebench", "translated", "ood"]),
    help="Variant of the latents; else detected from them.",
)
@click.option(
    "--views", type=click.IntRange(1), help="Pack only the first N views of each object.  [default: all]"
)
@click.option("--objects-per-shard", default=100, show_default=True, type=click.IntRange(1))
@WORKERS_OPTION
@REPAIR_OPTION
@click.option("--add", is_flag=True, help="SRC has more objects than OUT was made of; pack those.")
def pack_published(
    source: Path,
    out: Path,
    split_files: tuple[Path, Path] | None,
    channel_order: "ChannelOrder",
    variant: "Variant | None",
    views: int | None,
    objects_per_shard: int,
    workers: int | None,
    repair: bool,
    add: bool,
) -> None:
    """Make shards of a dataset in the published 3DIEBench's layout.

    SRC holds synset/object/image_0.jpg and latent_0.npy. It is a folder, or an archive as it was downloaded (.tar,
    .tar.gz, .tar.bz2, .tar.xz), which is not unpacked: one that is compressed is read once into OUT/.pack, which takes
    as much room as its files until all is packed.

    JPEG bytes stay as they are and latents exact; every image is decoded once. The same command again goes on where it
    was stopped, and packs just what is missing; if nothing is, the archive is not read. Objects with a missing or broken
    view are named in OUT/failures.jsonl; delete that file, or lines of it, to have them tried again.
    """
    from shards.lists import read_splits
    from shards.pack_record import PackRequest, find_packed_dataset, write_pack_record
    from shards.published.archive import is_archive

    splits = read_splits(*split_files) if split_files else None
    options = {
        "variant": variant,
        "views": views,
        "channel_order": channel_order,
        "objects_per_shard": objects_per_shard,
    }
    request = PackRequest.for_archive(source, splits, **options) if is_archive(source) else None
    packed = find_packed_dataset(out, request) if request is not None and not repair else None
    if packed is None:
        packed = _pack_published(source, out, splits, options, workers or available_cores(), repair, add)
        if request is not None:
            write_pack_record(out, request)
    click.echo(_describe(packed, out))


def _pack_published(
    source: Path,
    out: Path,
    splits: "dict[Name, str] | None",
    options: dict[str, Any],
    workers: int,
    repair: bool,
    add: bool,
) -> "Packed":
    """Packs the missing objects under a progress bar, after printing what the source holds."""
    from shards.published.pack import make_pack_plan, open_source

    with _decompressing(source) as tell, terminate_as_interrupt():
        opened = open_source(source, out, tell)
    plan = make_pack_plan(opened, splits, **options)
    settings = plan.settings
    click.echo(
        f"{source}: {len(plan.objects):,} objects, {settings.views} views each, {settings.image_size} px, variant "
        f"{settings.variant}, latents {settings.latent_format}",
        err=True,
    )
    if plan.unlisted:
        click.echo(f"{plan.unlisted:,} other objects are in neither list and left out", err=True)
    return pack_with_bar(plan, out, workers, repair, add)


def pack_with_bar(
    plan: "PackPlan[Any]", out: Path, workers: int, repair: bool = False, add: bool = False
) -> "Packed":
    """Packs the missing objects of a plan under a progress bar."""
    from shards.pack_run import pack as run_packing

    with closing(ViewBar("pack")) as bar, terminate_as_interrupt():
        return run_packing(plan, out, workers, bar, repair, add)


@contextmanager
def _decompressing(source: Path) -> "Iterator[Callable[[int, int], None]]":
    """Shows a bar over the bytes of a compressed archive; no bar if nothing is decompressed."""
    bar: tqdm | None = None

    def tell(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(
                total=total, unit="B", unit_scale=True, desc="read", file=sys.stderr, dynamic_ncols=True
            )
            click.echo(f"{source} is decompressed once, which takes as much room as its files", err=True)
        bar.update(done - bar.n)

    try:
        yield tell
    finally:
        if bar is not None:
            bar.close()


def _describe(packed: "Packed", out: Path) -> str:
    """Describes the outcome of packing in a few lines; the reasons of failures are on stderr."""
    from shards.failures import FAILURES_NAME

    lines = [f"{out}: {splits_in_words(packed.index)}"]
    if not packed.views:
        lines.append("nothing was missing; nothing was packed")
    if packed.failures:
        lines.append(f"{len(packed.failures):,} objects left out; {out / FAILURES_NAME} says why for each")
    return "\n".join(lines)


@pack.command(
    "pictures",
    epilog="Example: iebench pack pictures cifar-10-binary.tar.gz data/cifar10 --objects-per-shard 5000",
)
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("out", type=FOLDER)
@click.option("--from-views", is_flag=True, help="SRC is a dataset of iebench: one view of each object.")
@click.option(
    "--view",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Number of the view that --from-views takes.",
)
@click.option(
    "--size",
    type=click.IntRange(8, 4096),
    help="Height and width of the stored squares.  [default: as they are]",
)
@click.option(
    "--crop",
    type=click.IntRange(8, 4096),
    help="Size in pixels of the central square that is read.  [default: the pictures' own size, or 224 if it differs]",
)
@click.option("--objects-per-shard", default=1000, show_default=True, type=click.IntRange(1))
@WORKERS_OPTION
@REPAIR_OPTION
@click.option("--add", is_flag=True, help="SRC has more pictures than OUT was made of; pack those.")
def pack_pictures(
    source: Path,
    out: Path,
    from_views: bool,
    view: int,
    size: int | None,
    crop: int | None,
    objects_per_shard: int,
    workers: int | None,
    repair: bool,
    add: bool,
) -> None:
    """Make shards of pictures with classes.

    SRC has a folder for each class (below train/ and val/, or split by a hash), or is CIFAR-10 or CIFAR-100 in the binary
    version, or a folder of WebDataset shards of .jpg, .png or .webp with .cls, or with --from-views a dataset of iebench.

    JPEGs stay as they are unless --size is given; all else becomes a JPEG of quality 100. A picture that cannot be
    stored is named in OUT/failures.jsonl, and the rest goes on. The same command again goes on where it was stopped.
    """
    from shards.pictures.picture_plan import make_picture_plan, open_pictures

    if size and crop:
        raise UsageError("--size stores squares, of which --crop cannot take another; give one of them")
    opened = open_pictures(source, from_views, view)
    plan = make_picture_plan(opened, size, crop, objects_per_shard)
    click.echo(
        f"{source} ({opened.words}): {len(plan.objects):,} pictures of {len(plan.index.classes):,} classes, read at "
        f"{plan.index.image_size} px",
        err=True,
    )
    packed = pack_with_bar(plan, out, workers or available_cores(), repair, add)
    click.echo(_describe(packed, out))


@click.command(epilog="Example: iebench unpack data/3diebench 3DIEBench")
@DATASET_ARGUMENT
@click.argument("out", type=FOLDER)
@WORKERS_OPTION
def unpack(dataset: Path, out: Path, workers: int | None) -> None:
    """Write a dataset in the layout of the published 3DIEBench.

    The lists of objects and labels are written too. The same command again goes on where it was stopped.
    """
    from shards.published.unpack import unpack as run_unpacking
    from shards.schema import open_dataset

    index = open_dataset(dataset)
    if index.passes:
        click.echo(f"left out, for want of a place in this layout: {', '.join(index.passes)}", err=True)
    with stoppable_bar("unpack", index.views) as bar:
        run_unpacking(dataset, index, out, workers or available_cores(), bar.update)
    click.echo(f"{out}: {index.views:,} views of {index.objects:,} objects")
