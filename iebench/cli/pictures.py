"""The command that makes a dataset of pictures."""

from pathlib import Path

import click

from iebench.cli.data import WORKERS_OPTION
from iebench.cli.location import FOLDER
from iebench.cli.packing import describe_packed, pack, pack_with_bar
from shards.child_processes import available_cores


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
@click.option("--repair", is_flag=True, help="Read all sealed shards first; pack what is damaged in them.")
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
    from shards.errors import UsageError
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
    click.echo(describe_packed(packed, out))
