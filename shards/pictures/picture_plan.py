"""Plans the packing of pictures into the shards of a dataset."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shards.errors import IebenchError, UsageError
from shards.images import ChannelOrder, fitted
from shards.pack_run import PackPlan, empty_index
from shards.pictures.cifar import Cifar, is_cifar
from shards.pictures.folders import ClassFolders
from shards.pictures.picture import Picture, picture_size, stored_picture
from shards.pictures.single_views import ViewsOfDataset
from shards.pictures.source import PictureSource, make_catalog
from shards.pictures.webdataset import WebDatasetShards
from shards.pixels import PixelSums
from shards.published.detection import read_some
from shards.samples import Sample, encode_sample
from shards.schema import ClassInfo, SampleMetadata, SquareCrop
from shards.shard_plan import fingerprint, plan_shards

OBJECTS_PER_SHARD = 1000
CROP = 224
"""Side of a view in pixels if the pictures have different sizes."""


class PictureSettings(BaseModel):
    """Settings of a packed dataset of pictures, recorded as ``renderer`` in ``dataset.json``.

    Attributes:
        source: Description of the pictures' source, in a few words.
        size: Side in pixels of the square to which pictures were scaled and cut; None if they kept their sizes.
        image_size: Side of a view in pixels.
        is_fitted: Whether readers scale and cut the stored pictures to views.
        channel_order: Order of the channels in the JPEGs.
        objects_per_shard: Number of pictures in each shard but the last of its split.
        catalogue_sha256: SHA-256 of the catalog.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_by: Literal["iebench pack pictures"] = "iebench pack pictures"
    source: str
    size: int | None
    image_size: int
    is_fitted: bool
    channel_order: ChannelOrder
    objects_per_shard: int = Field(ge=1)
    catalogue_sha256: str

    @property
    def fit(self) -> SquareCrop | None:
        """Sizes by which readers scale and cut a stored picture; for views of 224 px, its shorter side becomes 256."""
        square = self.image_size
        return SquareCrop(shorter=round(square * 8 / 7), square=square) if self.is_fitted else None


@dataclass(frozen=True)
class PictureReader:
    """The ``shards.pack_run.ObjectReader`` of a source of pictures."""

    source: PictureSource
    settings: PictureSettings

    def read(self, item: Picture) -> tuple[list[Sample], PixelSums]:
        """Returns a picture as a list of one sample, and the sums over its pixels.

        Raises:
            IebenchError: The picture cannot be read or stored, or has another size than the others.
        """
        settings, fit = self.settings, self.settings.fit
        stored = stored_picture(self.source.read(item), settings.size, settings.channel_order)
        pixels = stored.pixels
        if fit is not None:
            pixels = fitted(pixels, fit.shorter, fit.square)
        height, width = pixels.shape[:2]
        if (height, width) != (settings.image_size, settings.image_size):
            raise IebenchError(
                f"it is {width} x {height} px and the others are {settings.image_size} px square; pack with --crop or --size"
            )
        metadata = SampleMetadata(
            synset=item.synset,
            object=item.object_id,
            view=0,
            label=item.label,
            latents=(),
            notes=stored.notes,
            fit=fit,
        )
        return [encode_sample(metadata, {"jpg": stored.jpeg})], PixelSums.from_image(pixels)

    def share(self, objects: Sequence[Picture]) -> "PictureReader":
        """Returns this reader itself, which is small to pickle: each picture says where it is."""
        return self

    def license_text(self) -> str:
        """Returns the licence that the source states; empty if it states none."""
        return self.source.license_text()


def open_pictures(path: Path, from_views: bool = False, view: int = 0) -> PictureSource:
    """Finds out what kind of pictures are at a path: class folders, CIFAR or WebDataset shards.

    With ``from_views``, it is a dataset of iebench, and the view of this number is taken of each object.

    Raises:
        UsageError: The path does not exist, or it is of another kind, such as CIFAR's version for Python.
    """
    if from_views:
        return ViewsOfDataset(path, view)
    if not path.exists():
        raise UsageError(f"there is no {path}")
    inner = [path / name for name in ("cifar-10-batches-bin", "cifar-100-binary") if (path / name).is_dir()]
    if is_cifar(inner[0] if inner else path):
        return Cifar(inner[0] if inner else path)
    if path.is_file() or any(path.glob("*.tar")):
        if path.suffix != ".tar" and path.is_file():
            raise UsageError(
                f"{path} is no folder, no .tar of WebDataset and no archive of CIFAR; unpack it first"
            )
        return WebDatasetShards(path)
    return ClassFolders(path)


def make_picture_plan(
    source: PictureSource,
    size: int | None = None,
    crop: int | None = None,
    objects_per_shard: int = OBJECTS_PER_SHARD,
) -> PackPlan[Picture]:
    """Plans the packing of pictures.

    Args:
        source: Source of the pictures.
        size: Side in pixels of the square to which pictures are scaled and cut; None stores them in their own size.
        crop: Side in pixels of the views that readers make of stored pictures; by default the pictures' own size if
            they are squares of one size, else 224.
        objects_per_shard: Number of pictures in each shard but the last of its split.

    Raises:
        UsageError: There are no pictures, or none of the first few can be read.
    """
    objects = make_catalog(source.pictures(), source)
    side = size or (None if crop else _common_side(source, objects))
    settings = PictureSettings(
        source=source.words,
        size=size,
        image_size=side or crop or CROP,
        is_fitted=side is None,
        channel_order=source.channel_order,
        objects_per_shard=objects_per_shard,
        catalogue_sha256=fingerprint(objects),
    )
    names = source.class_names()
    labels = {item.synset: item.label for item in objects}
    index = empty_index(
        settings,
        variant="pictures",
        latents=(),
        classes=tuple(
            ClassInfo(label=label, synset=synset, name=names.get(synset, synset))
            for synset, label in sorted(labels.items())
        ),
        image_size=settings.image_size,
        views_per_object=1,
        channel_order=settings.channel_order,
    )
    reader = PictureReader(source, settings)
    return PackPlan(reader, settings, index, objects, plan_shards(objects, objects_per_shard))


def _common_side(source: PictureSource, objects: tuple[Picture, ...]) -> int | None:
    """Reads some pictures' sizes and returns the side of more than 90 % of them; None if they are not such squares."""
    sizes = Counter(read_some(objects, lambda item: picture_size(source.read(item)), f"pictures in {source}"))
    (width, height), count = sizes.most_common(1)[0]
    return width if width == height and 10 * count > 9 * sizes.total() else None
