"""What decides the bytes of a packed dataset, besides the files themselves."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shards.errors import IebenchError
from shards.images import ChannelOrder
from shards.published.latent_format import LatentFormat
from shards.schema import INDEX_NAME, DatasetIndex, Variant

OBJECTS_PER_SHARD = 100


class PackSettings(BaseModel):
    """Recorded as ``renderer`` in ``dataset.json``.

    Attributes:
        views: 0 to ``views`` - 1 of each object are packed.
        more_views: True if an object may have further views, which are left out.
        latents_header: what stands before the values in every ``latent_i.npy``, a character per byte.
        latents_dtype: Floating-point type of the values in the files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    made_by: Literal["iebench pack"] = "iebench pack"
    variant: Variant
    views: int = Field(ge=1)
    more_views: bool
    image_size: int
    channel_order: ChannelOrder
    latents_dtype: str
    latents_header: str
    objects_per_shard: int = Field(ge=1)
    catalogue_sha256: str

    @property
    def latent_format(self) -> LatentFormat:
        """How the files of latents are written."""
        return LatentFormat.parse(self.latents_header.encode("latin-1"))


def latent_format_of(index: DatasetIndex) -> LatentFormat:
    """How the latents of a dataset are written in the published layout: as they came, if they came so.

    Raises:
        IebenchError: the index says that they came in a format that there is not.
    """
    header = index.renderer.get("latents_header")
    if header is None:
        return LatentFormat.default(len(index.latents))
    try:
        return LatentFormat.parse(str(header).encode("latin-1", errors="replace"))
    except IebenchError as error:
        raise IebenchError(f"{INDEX_NAME}: latents_header is no header of a .npy file: {error}") from None
