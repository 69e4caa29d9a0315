"""Defines the settings that determine the bytes of a packed dataset, together with its source."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shards.images import ChannelOrder
from shards.published.latent_format import LatentFormat
from shards.variants import Variant

OBJECTS_PER_SHARD = 100


class PackSettings(BaseModel):
    """Settings of a packed dataset, recorded as ``renderer`` in ``dataset.json``.

    Attributes:
        variant: Variant of the latents.
        views: Number of views of each object that are packed.
        more_views: Whether an object may have further views, which are left out.
        image_size: Width and height of a view in pixels.
        channel_order: Order of the channels in the images.
        latents_dtype: Floating-point type of the values in every ``latent_i.npy``.
        latents_header: Bytes before the values in every ``latent_i.npy``, as one character for each byte.
        objects_per_shard: Number of objects in each shard but the last of its split.
        catalogue_sha256: SHA-256 of the catalog.
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
        """Format of the files of latents."""
        return LatentFormat.parse(self.latents_header.encode("latin-1"))
