"""Defines the dataset format: keys, the metadata of samples, and ``dataset.json``."""

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shards.errors import IebenchError, UsageError
from shards.images import ChannelOrder
from shards.origin import origin_of
from shards.passes import Pass
from shards.pixels import PixelSums
from shards.variants import Latent, Variant

FORMAT_VERSION = 1
INDEX_NAME = "dataset.json"
TRAIN_SHARE = 0.8

SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.tar")
_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[int, Field(gt=0)]


class Record(BaseModel):
    """An immutable record without unknown fields, which is written as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassInfo(Record):
    """A class of objects.

    Attributes:
        label: Index of the synset among the dataset's sorted synsets.
        synset: WordNet identifier of the class, or another text that names it.
        name: Name of the class for people.
    """

    label: _Count
    synset: str
    name: str


class ShardInfo(Record):
    """A finished shard: its size, its checksum and what it contains.

    Attributes:
        name: Name of the file, beside ``dataset.json``.
        bytes: Size of the file.
        sha256: SHA-256 of the file, hexadecimal.
        objects: Number of objects in the shard.
        views: Number of views in the shard.
        pixels: Sums over the decoded views, from which ``channel_mean`` and ``channel_std`` are computed; None in old
            datasets.
        devices: Kinds of the devices that rendered the views, sorted; empty if they were packed or are not known.
    """

    name: str = Field(json_schema_extra={"pattern": f"^{SHARD_NAME.pattern}$"})
    bytes: _Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    objects: _Count
    views: _Count
    pixels: PixelSums | None = None
    devices: tuple[str, ...] = ()


class TableInfo(Record):
    """Size and checksum of ``latents.parquet``, the table of all views (``shards.table``).

    Attributes:
        bytes: Size of the file.
        sha256: SHA-256 of the file, hexadecimal.
    """

    bytes: _Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class SplitInfo(Record):
    """The shards of one split, with the number of objects and views in all of them."""

    shards: tuple[ShardInfo, ...]
    objects: _Count
    views: _Count


_Row3 = tuple[float, float, float]
_Row4 = tuple[float, float, float, float]


class CameraInfo(Record):
    """The camera that took every view, with OpenCV's axes: x to the right of the image, y down, z along the view.

    Attributes:
        axes: Convention of the camera's axes.
        intrinsics: Rows of the (3, 3) intrinsic matrix, in pixels; the centre of the first pixel is (0.5, 0.5).
        camera_to_world: Rows of the (4, 4) matrix from camera coordinates to world coordinates, in metres.
    """

    axes: Literal["opencv"] = "opencv"
    intrinsics: tuple[_Row3, _Row3, _Row3]
    camera_to_world: tuple[_Row4, _Row4, _Row4, _Row4]


class DatasetIndex(Record):
    """Contents of ``dataset.json``, which describes a dataset and lists its shards.

    Attributes:
        format_version: Version of the dataset format.
        variant: Variant of the benchmark, which decides the ranges of the latents.
        latents: Latents of every view, in the order in which the samples store them.
        classes: Classes, in the order of their labels.
        image_size: Width and height of a view in pixels; stored pictures may have other sizes.
        views_per_object: Number of views of each object.
        seed: Seed that the latents were drawn with; None if they came with the data.
        channel_order: Order of the channels in the stored JPEGs; ``bgr``, as in the published images, has red and blue
            swapped.
        passes: Passes that are stored beside the JPEG of every view.
        channel_mean: Mean of the decoded training views, per channel, in [0, 1].
        channel_std: Standard deviation of the decoded training views, per channel, in [0, 1].
        renderer: Settings and versions of the program that made the views.
        splits: Shards of each split, by its name.
        latents_table: Size and checksum of ``latents.parquet``; None in old datasets, which lack that file.
        camera: Camera that took all views; None if there are no passes or the camera is not known.
    """

    format_version: int = Field(default=FORMAT_VERSION, json_schema_extra={"const": FORMAT_VERSION})
    variant: Variant
    latents: tuple[Latent, ...]
    classes: tuple[ClassInfo, ...]
    image_size: _Positive
    views_per_object: _Positive
    seed: int | None
    channel_order: ChannelOrder = "rgb"
    passes: tuple[Pass, ...] = ()
    channel_mean: tuple[float, float, float]
    channel_std: tuple[float, float, float]
    renderer: dict[str, Any] = Field(default_factory=dict)
    splits: dict[str, SplitInfo]
    latents_table: TableInfo | None = None
    camera: CameraInfo | None = None

    @property
    def objects(self) -> int:
        """Number of objects of all splits."""
        return sum(split.objects for split in self.splits.values())

    @property
    def views(self) -> int:
        """Number of views of all splits."""
        return sum(split.views for split in self.splits.values())

    def split(self, name: str) -> SplitInfo:
        """Returns the split called ``name``.

        Raises:
            UsageError: There is no such split, or it is empty.
        """
        split = self.splits.get(name)
        if split is None or split.views == 0:
            filled = [key for key, value in self.splits.items() if value.views]
            raise UsageError(
                f"the dataset holds no view in split {name!r}; it has: {', '.join(filled) or 'none'}"
            )
        return split

    def all_shards(self) -> list[tuple[str, ShardInfo]]:
        """Returns all shards in order, each with the name of its split."""
        return [(name, shard) for name, split in self.splits.items() for shard in split.shards]

    def latent_index(self, names: tuple[str, ...]) -> list[int]:
        """Returns the positions of the latents called ``names``.

        Raises:
            UsageError: The dataset lacks one of them.
        """
        known = [latent.name for latent in self.latents]
        missing = [name for name in names if name not in known]
        if missing:
            raise UsageError(f"the dataset has no latent {', '.join(missing)}; it has: {', '.join(known)}")
        return [known.index(name) for name in names]

    def to_json(self) -> str:
        """Returns the text of ``dataset.json``."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


class SquareCrop(Record):
    """Sizes by which a picture of any size becomes a square view: it is scaled, and then its middle is cut out.

    Attributes:
        shorter: Shorter side of the scaled picture, in pixels.
        square: Side of the square that is cut out, in pixels; equal to the dataset's ``image_size``.
    """

    shorter: _Positive
    square: _Positive


class SampleMetadata(Record):
    """Contents of a sample's ``.json`` member.

    Attributes:
        synset: Synset of the object's class.
        object: Name of the object.
        view: Number of the view, from 0 on.
        label: Label of the class.
        latents: Latents of the view, in the order of ``DatasetIndex.latents``.
        scale: Factor by which the model was scaled; None if it kept its own size.
        notes: Sentences about what is missing from the view, such as a texture, or what was done to a picture.
        depth_scale: Metres per unit of the ``.depth.png`` member; None if there is no such member.
        fit: Sizes by which the stored picture becomes a view; None if the stored picture is the view.
        crc32: CRC-32 of the sample (``shards.samples``); None if it was written without one.
    """

    synset: str
    object: str
    view: int
    label: int
    latents: tuple[float, ...]
    scale: float | None = None
    notes: tuple[str, ...] = ()
    depth_scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    fit: SquareCrop | None = None
    crc32: int | None = None

    def encode(self) -> bytes:
        """Returns JSON bytes without defaults and without ``crc32``; floating-point numbers are kept exactly."""
        return json.dumps(self.model_dump(exclude_defaults=True, exclude={"crc32"})).encode()

    @property
    def key(self) -> str:
        """WebDataset key of this sample."""
        return sample_key(self.synset, self.object, self.view)


def sample_key(synset: str, object_id: str, view: int) -> str:
    """Returns the key ``{synset}-{object}-{view:03d}``, which no other view has."""
    return f"{object_key(synset, object_id)}-{view:03d}"


def object_key(synset: str, object_id: str) -> str:
    """Returns ``{synset}-{object}``, with the characters percent-encoded that a WebDataset key cannot hold.

    Dots are encoded because a WebDataset key ends at the first dot. Dashes in the synset are encoded because the first
    dash ends the synset. ``urllib.parse.unquote`` decodes both.
    """
    encoded = [quote(part, safe="").replace(".", "%2E") for part in (synset, object_id)]
    return f"{encoded[0].replace('-', '%2D')}-{encoded[1]}"


def split_of(synset: str, object_id: str) -> str:
    """Returns ``train`` or ``val``: the SHA-256 of ``synset/object`` as a fraction in [0, 1), below 0.8 is train."""
    digest = hashlib.sha256(f"{synset}/{object_id}".encode()).digest()
    return "train" if int.from_bytes(digest[:8], "big") / 2**64 < TRAIN_SHARE else "val"


def open_dataset(folder: str | Path) -> DatasetIndex:
    """Reads and checks ``dataset.json``, and checks the sizes of the shards without reading them.

    Raises:
        UsageError: ``folder`` holds no dataset.
        IebenchError: The index has another format version or is broken, or a shard is missing or has another size.
    """
    folder = Path(folder)
    path = folder / INDEX_NAME
    if not path.is_file():
        begun = [word for word in ("render", "pack") if (folder / f".{word}").is_dir()]
        hint = (
            f"it is not finished: run the same {begun[0]} command again"
            if begun
            else "make one with `iebench render`, `iebench pack` or `iebench demo`"
        )
        raise UsageError(f"{folder} holds no dataset ({INDEX_NAME} is not there); {hint}")
    index = parse_index(path)
    if origin_of(folder) is None:  # shards of a mirror are downloaded and checked when they are first read
        for _, shard in index.all_shards():
            _check_size(folder / shard.name, shard.bytes)
    return index


def parse_index(path: Path) -> DatasetIndex:
    """Reads ``dataset.json`` and checks it against the dataset format, but not against the shards.

    Raises:
        IebenchError: The file cannot be read, has another format version, or is broken.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise IebenchError(
            f"{path} is not a dataset index that can be read ({error}); render the dataset again"
        ) from None
    return parse_index_text(text, str(path))


def parse_index_text(text: bytes, path: str) -> DatasetIndex:
    """Parses the UTF-8 contents of a ``dataset.json`` and checks them against the dataset format.

    Raises:
        IebenchError: The contents have another format version, or are broken; the message names ``path``.
    """
    try:
        content = json.loads(text.decode("utf-8"))
        version = content["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IebenchError(
            f"{path} is not a dataset index that can be read ({error}); render the dataset again"
        ) from None
    if version != FORMAT_VERSION:
        raise IebenchError(
            f"{path} is of format version {version} and this iebench reads version {FORMAT_VERSION}; "
            f"install an iebench that reads version {version}, or render the dataset again"
        )
    try:
        index = DatasetIndex.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise IebenchError(
            f"{path} breaks the dataset format at {field}: {first['msg']}; render the dataset again"
        ) from None
    for _, shard in index.all_shards():
        if not SHARD_NAME.fullmatch(shard.name):
            raise IebenchError(
                f"{path} names a shard {shard.name!r}, which is not the name of a .tar file beside it"
            )
    return index


def _check_size(path: Path, expected: int) -> None:
    if not path.is_file():
        raise IebenchError(
            f"shard {path} is missing; run the command that made the dataset again to rebuild it"
        )
    size = path.stat().st_size
    if size != expected:
        raise IebenchError(
            f"shard {path} has {size:,} bytes and should have {expected:,}; "
            "run the command that made the dataset again to mend it"
        )
