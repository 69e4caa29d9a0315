"""Plans the packing of a folder or an archive in the published layout into the shards of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.class_names import classes_of_synsets
from shards.errors import UsageError
from shards.images import ChannelOrder
from shards.lists import Name
from shards.locks import sole_process
from shards.pack_run import FOLDER_NAME, PackPlan, empty_index
from shards.published.archive import Tell, is_archive, open_archive
from shards.published.detection import detect
from shards.published.object import PublishedReader
from shards.published.pack_settings import OBJECTS_PER_SHARD, PackSettings
from shards.published.published_source import FolderSource, PublishedSource, SourceObject, make_catalog
from shards.same_settings import require_usable_folder
from shards.schema import split_of
from shards.shard_plan import fingerprint, plan_shards
from shards.variants import VARIANTS, Variant


@dataclass(frozen=True)
class PublishedPlan(PackPlan[SourceObject]):
    """The packing plan of a source in the published layout."""

    settings: PackSettings


def make_pack_plan(
    source: PublishedSource | Path,
    splits: Mapping[Name, str] | None = None,
    variant: Variant | None = None,
    views: int | None = None,
    channel_order: ChannelOrder = "rgb",
    objects_per_shard: int = OBJECTS_PER_SHARD,
) -> PublishedPlan:
    """Plans the packing of a folder or an archive.

    Args:
        source: Source, or folder, of ``synset/object/image_0.jpg`` and ``latent_0.npy``.
        splits: Split of each (synset, object); other objects are left out. By default a hash decides the split.
        variant: Variant of the latents; by default it is found out from the files.
        views: Number of views of each object, of which further ones are left out; by default found out from the files.
        channel_order: Order of the channels in the images.
        objects_per_shard: Number of objects in each shard but the last of its split.

    Raises:
        UsageError: The source holds nothing that can be packed, or its variant or views cannot be found out.
    """
    source = FolderSource(source) if isinstance(source, Path) else source
    names = source.names()
    objects = make_catalog(splits or {name: split_of(*name) for name in names})
    there = set(names).intersection(item.name for item in objects)
    if not there:
        raise UsageError(f"the lists name none of the objects in {source}, such as {'/'.join(names[0])}")
    found = detect(source, objects, variant, views)
    settings = PackSettings(
        variant=found.variant,
        views=found.views,
        more_views=views is not None,
        image_size=found.image_size,
        channel_order=channel_order,
        latents_dtype=found.latents.dtype.str,
        latents_header=found.latents.header,
        objects_per_shard=objects_per_shard,
        catalogue_sha256=fingerprint(objects),
    )
    index = empty_index(
        settings,
        variant=settings.variant,
        latents=VARIANTS[settings.variant],
        classes=classes_of_synsets(item.synset for item in objects),
        image_size=settings.image_size,
        views_per_object=settings.views,
        channel_order=settings.channel_order,
    )
    shards = plan_shards(objects, objects_per_shard)
    reader = PublishedReader(source, settings)
    return PublishedPlan(reader, settings, index, objects, shards, len(names) - len(there))


def open_source(path: Path, out: Path, tell: Tell = lambda done, total: None) -> PublishedSource:
    """Opens a folder in the published layout, or an archive of one, which is decompressed into ``out`` for packing.

    Raises:
        UsageError: The path is neither, ``out`` holds something else, or another process is packing into it.
        IebenchError: The archive is cut short or damaged.
    """
    if not is_archive(path):
        return FolderSource(path)
    folder = out / FOLDER_NAME
    require_usable_folder(out, folder)
    with sole_process(folder, f"another process is packing into {out}"):
        return open_archive(path, folder, tell)
