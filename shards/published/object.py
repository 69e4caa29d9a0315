"""Reads objects from a source in the published layout."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from shards.errors import IebenchError
from shards.images import decode_jpeg, jpeg_size
from shards.pixels import PixelSums
from shards.published.latent_format import LatentFormat
from shards.published.layout import image_name, latents_name
from shards.published.pack_settings import PackSettings
from shards.published.published_source import PublishedSource, SourceObject
from shards.samples import Sample, encode_sample
from shards.schema import SampleMetadata
from shards.variants import VARIANTS


@dataclass(frozen=True)
class PublishedReader:
    """The ``shards.pack_run.ObjectReader`` of a source in the published layout."""

    source: PublishedSource
    settings: PackSettings

    def read(self, item: SourceObject) -> tuple[list[Sample], PixelSums]:
        """Returns all views of an object as samples, and the sums over their pixels in RGB order.

        Every image is decoded to find broken ones, but its bytes are kept as they are.

        Raises:
            IebenchError: A file is missing or broken, or does not fit the settings; the message names the file.
        """
        if not self.source.holds(item):
            raise IebenchError("its folder is missing")
        samples: list[Sample] = []
        pixels = PixelSums()
        latent_format = self.settings.latent_format
        for view in range(self.settings.views):
            jpeg, sums = self._read_image(item, image_name(view))
            metadata = SampleMetadata(
                synset=item.synset,
                object=item.object_id,
                view=view,
                label=item.label,
                latents=self._read_latents(item, latents_name(view), latent_format),
            )
            samples.append(encode_sample(metadata, {"jpg": jpeg}))
            pixels += sums
        if not self.settings.more_views:
            self._require_no_more(item)
        return samples, pixels

    def share(self, objects: Sequence[SourceObject]) -> "PublishedReader":
        """Returns a reader of at least these objects, which is small to pickle."""
        return replace(self, source=self.source.share(objects))

    def license_text(self) -> str:
        """Returns the licence that the source states; empty if it states none."""
        return self.source.license_text()

    def _read_image(self, item: SourceObject, name: str) -> tuple[bytes, PixelSums]:
        data = self.source.read(item, name)
        width, height = jpeg_size(data, name)
        side = self.settings.image_size
        if (width, height) != (side, side):
            raise IebenchError(f"{name}: it is {width} x {height} px and should be {side} px square")
        try:
            pixels = decode_jpeg(data, name, self.settings.channel_order)
        except IebenchError as error:
            raise IebenchError(str(error).split("; run `")[0]) from None
        return data, PixelSums.from_image(pixels)

    def _read_latents(self, item: SourceObject, name: str, latent_format: LatentFormat) -> tuple[float, ...]:
        data = self.source.read(item, name)
        try:
            values = latent_format.read(data)
        except IebenchError as error:
            raise IebenchError(f"{name}: {error}") from None
        variant = self.settings.variant
        for latent, value in zip(VARIANTS[variant], values, strict=True):
            if not latent.contains(value):
                raise IebenchError(
                    f"{name}: {latent.name} is {value:.6g}, out of the range of variant {variant}"
                )
        return values

    def _require_no_more(self, item: SourceObject) -> None:
        views = self.settings.views
        for name in (image_name(views), latents_name(views)):
            if self.source.has(item, name):
                raise IebenchError(
                    f"it holds {name}, and the others have {views} views; say how many with --views"
                )
