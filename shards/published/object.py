"""Reads one object from a source in the published layout, and fails if any of its views is broken."""

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


def read_object(
    source: PublishedSource, item: SourceObject, settings: PackSettings
) -> tuple[list[Sample], PixelSums]:
    """Returns all views of an object as samples, and the sums over their pixels in RGB order.

    Every image is decoded to find broken ones, but its bytes are kept as they are.

    Raises:
        IebenchError: A file is missing or broken, or does not fit the settings; the message names the file.
    """
    if not source.holds(item):
        raise IebenchError("its folder is missing")
    samples: list[Sample] = []
    pixels = PixelSums()
    latent_format = settings.latent_format
    for view in range(settings.views):
        jpeg, sums = _read_image(source, item, image_name(view), settings)
        metadata = SampleMetadata(
            synset=item.synset,
            object=item.object_id,
            view=view,
            label=item.label,
            latents=_read_latents(source, item, latents_name(view), settings, latent_format),
        )
        samples.append(encode_sample(metadata, {"jpg": jpeg}))
        pixels += sums
    if not settings.more_views:
        _require_no_more(source, item, settings.views)
    return samples, pixels


def _read_image(
    source: PublishedSource, item: SourceObject, name: str, settings: PackSettings
) -> tuple[bytes, PixelSums]:
    data = source.read(item, name)
    width, height = jpeg_size(data, name)
    if (width, height) != (settings.image_size, settings.image_size):
        raise IebenchError(
            f"{name}: it is {width} x {height} px and should be {settings.image_size} px square"
        )
    try:
        pixels = decode_jpeg(data, name, settings.channel_order)
    except IebenchError as error:
        raise IebenchError(str(error).split("; run `")[0]) from None
    return data, PixelSums.from_image(pixels)


def _read_latents(
    source: PublishedSource,
    item: SourceObject,
    name: str,
    settings: PackSettings,
    latent_format: LatentFormat,
) -> tuple[float, ...]:
    data = source.read(item, name)
    try:
        values = latent_format.read(data)
    except IebenchError as error:
        raise IebenchError(f"{name}: {error}") from None
    for latent, value in zip(VARIANTS[settings.variant], values, strict=True):
        if not latent.contains(value):
            raise IebenchError(
                f"{name}: {latent.name} is {value:.6g}, out of the range of variant {settings.variant}"
            )
    return values


def _require_no_more(source: PublishedSource, item: SourceObject, views: int) -> None:
    for name in (image_name(views), latents_name(views)):
        if source.has(item, name):
            raise IebenchError(
                f"it holds {name}, and the others have {views} views; say how many with --views"
            )
