"""The data contract: latents, keys, sample metadata and ``dataset.json``. Its only home."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shards.errors import IebenchError, UsageError
from shards.images import ChannelOrder
from shards.origin import origin_of
from shards.passes import Pass
from shards.pixels import PixelSums

FORMAT_VERSION = 1
INDEX_NAME = "dataset.json"
TRAIN_SHARE = 0.8
Variant = Literal["3diebench", "translated", "ood", "pictures"]

SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.tar")
_Count = Annotated[int, Field(ge=0)]
_Positive = Annotated[int, Field(gt=0)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Latent(_Record):
    """One number that decides how a view looks.

    Attributes:
        name: such as ``rotation_x``.
        unit: ``rad``, ``turn`` (a hue, where 1 is the whole circle) or ``m``.
        intervals: the closed intervals it is drawn from, uniformly over their union.
    """

    name: str
    unit: str
    intervals: tuple[tuple[float, float], ...]

    def contains(self, value: float) -> bool:
        """Whether ``value`` lies in one of the intervals."""
        return any(low <= value <= high for low, high in self.intervals)

    def from_uniform(self, uniform: float) -> float:
        """Maps a number in [0, 1) to the union of the intervals, keeping it uniform."""
        lengths = [high - low for low, high in self.intervals]
        offset = uniform * sum(lengths)
        for (low, high), length in zip(self.intervals, lengths, strict=True):
            if offset < length:
                return min(low + offset, high)
            offset -= length
        return self.intervals[-1][1]


def _latents(angle_intervals: tuple[tuple[float, float], ...]) -> tuple[Latent, ...]:
    rotations = tuple(
        Latent(name=f"rotation_{axis}", unit="rad", intervals=angle_intervals) for axis in "xyz"
    )
    return (
        *rotations,
        Latent(name="floor_hue", unit="turn", intervals=((0.0, 1.0),)),
        Latent(name="light_theta", unit="rad", intervals=((0.0, math.pi / 4),)),
        Latent(name="light_phi", unit="rad", intervals=((0.0, 2 * math.pi),)),
        Latent(name="light_hue", unit="turn", intervals=((0.0, 1.0),)),
    )


_QUARTER_TURN = math.pi / 2
_STANDARD = _latents(((-_QUARTER_TURN, _QUARTER_TURN),))

VARIANTS: dict[Variant, tuple[Latent, ...]] = {
    "3diebench": _STANDARD,
    "translated": (
        *_STANDARD,
        *(Latent(name=f"translation_{axis}", unit="m", intervals=((-0.5, 0.5),)) for axis in "xyz"),
    ),
    "ood": _latents(((-math.pi, -_QUARTER_TURN), (_QUARTER_TURN, math.pi))),
    "pictures": (),
}
"""The latents of each variant, in the order of the published ``latent_i.npy``; pictures were not rendered from any."""


class ClassInfo(_Record):
    """A class: its label is the index of its synset among the dataset's sorted synsets."""

    label: _Count
    synset: str
    name: str


class ShardInfo(_Record):
    """One sealed shard: how large it is, what its bytes hash to, and what it holds.

    Attributes:
        pixels: Sums over the decoded views, of which ``channel_mean`` and ``channel_std`` are made; None in datasets
            from before they were kept.
        devices: Kinds of devices that rendered its views, sorted; empty if it was packed, or nobody recorded it.
    """

    name: str = Field(json_schema_extra={"pattern": f"^{SHARD_NAME.pattern}$"})
    bytes: _Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    objects: _Count
    views: _Count
    pixels: PixelSums | None = None
    devices: tuple[str, ...] = ()


class TableInfo(_Record):
    """The table of all views, ``latents.parquet`` (``shards.table``): how large it is, and what it hashes to."""

    bytes: _Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class SplitInfo(_Record):
    """The shards of one split and their totals."""

    shards: tuple[ShardInfo, ...]
    objects: _Count
    views: _Count


_Row3 = tuple[float, float, float]
_Row4 = tuple[float, float, float, float]


class CameraInfo(_Record):
    """The camera of every view, in OpenCV's axes: x to the right of the image, y down, z away from the camera.

    Attributes:
        intrinsics: Rows of the (3, 3) intrinsic matrix, in pixels; the centre of the first pixel is (0.5, 0.5).
        camera_to_world: Rows of the (4, 4) matrix from the camera's axes to the world, in metres.
    """

    axes: Literal["opencv"] = "opencv"
    intrinsics: tuple[_Row3, _Row3, _Row3]
    camera_to_world: tuple[_Row4, _Row4, _Row4, _Row4]


class DatasetIndex(_Record):
    """``dataset.json``: everything about a dataset that is not a view.

    Attributes:
        channel_order: Order of the channels in the stored JPEGs; ``bgr`` has red and blue swapped, as the published images.
        image_size: Width and height of a view in pixels; pictures may be stored in other sizes.
        seed: Seed that the latents were drawn with; None if they were not drawn here.
        passes: Passes that every view has beside its JPEG.
        channel_mean: Mean of the decoded training views, per channel, in [0, 1].
        channel_std: Standard deviation of the decoded training views, per channel, in [0, 1].
        renderer: settings and versions of whatever made the views.
        latents_table: Size and checksum of ``latents.parquet``; None in datasets from before there was one.
        camera: The camera that all views were seen by; None where there are no passes, or it is not known.
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

    def split(self, name: str) -> SplitInfo:
        """The split called ``name``.

        Raises:
            UsageError: there is none, or it is empty.
        """
        split = self.splits.get(name)
        if split is None or split.views == 0:
            filled = [key for key, value in self.splits.items() if value.views]
            raise UsageError(
                f"the dataset holds no view in split {name!r}; it has: {', '.join(filled) or 'none'}"
            )
        return split

    def latent_index(self, names: tuple[str, ...]) -> list[int]:
        """Positions of the latents called ``names``.

        Raises:
            UsageError: the dataset lacks one of them.
        """
        known = [latent.name for latent in self.latents]
        missing = [name for name in names if name not in known]
        if missing:
            raise UsageError(f"the dataset has no latent {', '.join(missing)}; it has: {', '.join(known)}")
        return [known.index(name) for name in names]

    def to_json(self) -> str:
        """The text of ``dataset.json``."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


class Fit(_Record):
    """How a picture of any size becomes a view: scaled by its shorter side, and cut to the square in its middle.

    Attributes:
        shorter: Shorter side after scaling, in pixels.
        square: Side of the square, in pixels: the dataset's ``image_size``.
    """

    shorter: _Positive
    square: _Positive


class SampleMetadata(_Record):
    """The ``.json`` member of a sample.

    Attributes:
        depth_scale: metres per unit of the ``.depth.png`` member; None where there is none.
        scale: the factor that the model was scaled by; None where it has its own size.
        notes: what the view lacks of the model, such as a texture that is missing; what was done to a picture.
        fit: How the stored picture becomes a view; None where it is one.
        crc32: CRC-32 of the sample (``shards.samples``); None if it was written without.
    """

    synset: str
    object: str
    view: int
    label: int
    latents: tuple[float, ...]
    scale: float | None = None
    notes: tuple[str, ...] = ()
    depth_scale: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    fit: Fit | None = None
    crc32: int | None = None

    def encode(self) -> bytes:
        """JSON bytes without what is absent and without ``crc32``; floating-point numbers survive exactly."""
        return json.dumps(self.model_dump(exclude_defaults=True, exclude={"crc32"})).encode()

    @property
    def key(self) -> str:
        """The WebDataset key of this sample."""
        return sample_key(self.synset, self.object, self.view)


def sample_key(synset: str, object_id: str, view: int) -> str:
    """``{synset}-{object}-{view:03d}``; equal keys mean equal synset, object and view."""
    return f"{object_key(synset, object_id)}-{view:03d}"


def object_key(synset: str, object_id: str) -> str:
    """``{synset}-{object}``, percent-encoded where a WebDataset key cannot hold a character.

    A key ends at its first dot, so dots are encoded; so are dashes in the synset, which the first dash ends.
    ``urllib.parse.unquote`` reverses it.
    """
    encoded = [quote(part, safe="").replace(".", "%2E") for part in (synset, object_id)]
    return f"{encoded[0].replace('-', '%2D')}-{encoded[1]}"


def split_of(synset: str, object_id: str) -> str:
    """``train`` or ``val``: SHA-256 of ``synset/object`` as a fraction, below 0.8 is train."""
    digest = hashlib.sha256(f"{synset}/{object_id}".encode()).digest()
    return "train" if int.from_bytes(digest[:8], "big") / 2**64 < TRAIN_SHARE else "val"


def draw_latents(latents: Sequence[Latent], seed: int, synset: str, object_id: str, view: int) -> np.ndarray:
    """The latents of one view, a function of the arguments alone.

    A counter-based generator (Philox) is keyed by a SHA-256 of seed, synset and object; each view has its own
    block of the counter. So any view can be rendered again alone, in any order, by any process.

    Args:
        latents: what to draw, such as ``VARIANTS["3diebench"]``.
        seed: Seed of the dataset.
        synset: Synset of the object's class.
        object_id: Name of the object.
        view: its number.

    Returns:
        (number of latents,) float64, in the order and ranges of ``latents``.
    """
    digest = hashlib.sha256(f"{seed}/{synset}/{object_id}".encode()).digest()
    key = [int.from_bytes(digest[start : start + 8], "little") for start in (0, 8)]
    generator = np.random.Philox(
        key=np.array(key, dtype=np.uint64), counter=np.array([0, view, 0, 0], dtype=np.uint64)
    )
    uniforms = [(int(raw) >> 11) * 2.0**-53 for raw in generator.random_raw(len(latents))]
    return np.array([latent.from_uniform(uniform) for latent, uniform in zip(latents, uniforms, strict=True)])


def open_dataset(folder: str | Path) -> DatasetIndex:
    """Reads and checks ``dataset.json``; the shards themselves are not read.

    Raises:
        UsageError: ``folder`` holds no dataset.
        IebenchError: the index is of another format version, or broken, or a shard is missing or cut short.
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
    if (
        origin_of(folder) is None
    ):  # the shards of a mirror come when they are first read, and are checked then
        for split in index.splits.values():
            for shard in split.shards:
                _check_size(folder / shard.name, shard.bytes)
    return index


def parse_index(path: Path) -> DatasetIndex:
    """The contents of ``dataset.json``, checked against the contract but not against the shards.

    Raises:
        IebenchError: it is of another format version, or broken.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise IebenchError(
            f"{path} is not a dataset index that can be read ({error}); render the dataset again"
        ) from None
    return parse_index_text(text, str(path))


def parse_index_text(text: bytes, path: str) -> DatasetIndex:
    """The contents of a ``dataset.json``, checked against the contract.

    Args:
        text: UTF-8.
        path: Path that the text is from, for errors.

    Raises:
        IebenchError: it is of another format version, or broken.
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
        place = ".".join(str(part) for part in first["loc"])
        raise IebenchError(
            f"{path} breaks the data contract at {place}: {first['msg']}; render the dataset again"
        ) from None
    for split in index.splits.values():
        for shard in split.shards:
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
