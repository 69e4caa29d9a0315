"""Finds out the variant, views and image size of a source in the published layout from a few of its objects."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

from shards.errors import IebenchError, UsageError
from shards.images import jpeg_size
from shards.published.latent_format import LatentFormat
from shards.published.layout import image_name, latents_name
from shards.published.published_source import PublishedSource, SourceObject
from shards.shard_plan import NamedObject
from shards.variants import VARIANTS, Variant

PROBES = 100
"""Largest number of objects that are read, chosen evenly from the catalog."""

Entry = TypeVar("Entry", bound=NamedObject)
T = TypeVar("T")


@dataclass(frozen=True)
class DetectedLayout:
    """Properties that most objects of a source have in common; ``image_size`` is a view's width and height in pixels."""

    variant: Variant
    views: int
    image_size: int
    latents: LatentFormat


class _Probe(NamedTuple):
    """Properties of one object, read from its first view, with all variants that its latents may be from."""

    variants: tuple[Variant, ...]
    views: int
    image_size: int
    latents: LatentFormat


def detect(
    source: PublishedSource, objects: Sequence[SourceObject], variant: Variant | None, views: int | None
) -> DetectedLayout:
    """Finds out the properties of most objects, except for a variant or a number of views that is known already.

    Packing will fail for objects with other properties.

    Raises:
        UsageError: No object can be read, or no majority of objects agrees.
    """
    probes = read_some(objects, partial(_probe, source), f"objects in {source}")
    latents = _majority(f"{source}: format of the latents", [probe.latents for probe in probes])
    if variant is not None and len(VARIANTS[variant]) != latents.count:
        raise UsageError(
            f"{source}: variant {variant} has {len(VARIANTS[variant])} latents, and the files hold {latents}"
        )
    return DetectedLayout(
        variant or _variant(source, probes),
        views or _majority(f"{source}: number of views", [probe.views for probe in probes], "--views"),
        _majority(f"{source}: image size", [probe.image_size for probe in probes]),
        latents,
    )


def read_some(objects: Sequence[Entry], read: Callable[[Entry], T], what: str) -> list[T]:
    """Reads some of a catalog's objects, and leaves out those that cannot be read.

    Raises:
        UsageError: No object can be read.
    """
    found, reason = [], ""
    for item in objects[:: -(-len(objects) // PROBES)]:
        try:
            found.append(read(item))
        except IebenchError as error:
            reason = reason or f"{item.synset}/{item.object_id}: {error}"
    if not found:
        raise UsageError(f"none of the {what} can be read ({reason})")
    return found


def _probe(source: PublishedSource, item: SourceObject) -> _Probe:
    width, height = jpeg_size(source.read(item, image_name(0)), image_name(0))
    if width != height:
        raise IebenchError(f"{image_name(0)} is {width} x {height} px and should be square")
    data = source.read(item, latents_name(0))
    latents = LatentFormat.parse(data)
    return _Probe(_variants_of(latents.read(data)), source.view_count(item), width, latents)


def _variants_of(values: tuple[float, ...]) -> tuple[Variant, ...]:
    """Returns the variants whose number and ranges of latents fit these values."""
    return tuple(
        name
        for name, latents in VARIANTS.items()
        if len(latents) == len(values)
        and all(latent.contains(value) for latent, value in zip(latents, values, strict=True))
    )


def _variant(source: PublishedSource, probes: Sequence[_Probe]) -> Variant:
    fitting = Counter(variant for probe in probes for variant in probe.variants)
    likely = [name for name, count in fitting.items() if 2 * count > len(probes)]
    if len(likely) == 1:
        return likely[0]
    counts = ", ".join(f"{name} fits {count}" for name, count in fitting.most_common()) or "none fits any"
    raise UsageError(
        f"{source}: the latents do not tell which variant this is (of {len(probes)} objects {counts}); "
        "say it with --variant"
    )


def _majority(what: str, values: Sequence[T], option: str = "") -> T:
    counts = Counter(values).most_common()
    if 2 * counts[0][1] > len(values):
        return counts[0][0]
    shown = ", ".join(f"{value} in {count}" for value, count in counts[:4])
    remedy = f"say it with {option}" if option else "pack them apart"
    raise UsageError(f"{what} differs between objects ({shown} of {len(values)}); {remedy}")
