"""Folders in the published layout, small: ``synset/object/image_0.jpg`` and ``latent_0.npy``."""

from pathlib import Path

import numpy as np

from shards.images import ChannelOrder, Chroma, encode_jpeg
from shards.variants import VARIANTS, Variant, draw_latents
from toys import toy_image

OBJECTS = {
    f"{synset}/o{number}": None for synset in ("02876657", "03001627", "03797390") for number in range(4)
}
SIZE = 24


def write_folder(
    folder: Path,
    objects: list[str] | None = None,
    views: int = 3,
    variant: Variant = "3diebench",
    dtype: str = "<f8",
    size: int = SIZE,
    chroma: Chroma = "4:2:0",
    channel_order: ChannelOrder = "rgb",
) -> Path:
    """Writes objects (``synset/object``) as the published generator leaves them."""
    for name in objects or OBJECTS:
        object_folder = folder / name
        object_folder.mkdir(parents=True)
        synset, object_id = name.split("/")
        for view in range(views):
            latents = draw_latents(VARIANTS[variant], 0, synset, object_id, view)
            pixels = toy_image(len(object_id), object_id, latents)[:size, :size]
            jpeg = encode_jpeg(pixels, chroma=chroma, channel_order=channel_order)
            (object_folder / f"image_{view}.jpg").write_bytes(jpeg)
            np.save(object_folder / f"latent_{view}.npy", latents.astype(dtype))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of every file of a folder by its relative path, without hidden files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def views_of(folder: Path) -> dict[str, bytes]:
    """The same without the lists."""
    return {name: data for name, data in files_of(folder).items() if "/" in name}
