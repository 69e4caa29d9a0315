"""Augmented views of pictures: our stream beside torchvision's ``ImageFolder`` with the same pipeline."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import default_loader
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode, v2

from iebench.augmentations.config import AugmentationConfig
from iebench.augmentations.pipeline import Augmentation, blur_kernel
from shards.lanes import default_lanes
from shards.loader import draw_batches
from shards.schema import open_dataset
from shards.stream import DrawSettings, DrawStream

PIPELINE = AugmentationConfig(blur=[0.5], solarize=[0.1])


def torchvision_pipeline(size: int, gives_tensors: bool) -> Callable[[object], torch.Tensor]:
    """The same pipeline in torchvision's own transforms, of one view."""
    config = PIPELINE
    scale, ratio = tuple(config.crop_scale), tuple(config.crop_ratio)
    jitter = v2.ColorJitter(config.brightness, config.contrast, config.saturation, config.hue)
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale, ratio, InterpolationMode.BICUBIC, antialias=True),
            v2.RandomHorizontalFlip(config.flip),
            v2.RandomApply([jitter], config.jitter),
            v2.RandomGrayscale(config.grayscale),
            v2.RandomApply([v2.GaussianBlur(blur_kernel(size), tuple(config.blur_sigma))], config.blur[0]),
            v2.RandomSolarize(config.solarize_threshold, config.solarize[0]),
            *([] if gives_tensors else [v2.PILToTensor()]),
        ]
    )


def folder_views(folder: Path, batch_size: int, size: int, decodes_tensors: bool) -> Iterator[int]:
    """Counts augmented views of ``ImageFolder``, decoded by Pillow or by torchvision."""
    transform = torchvision_pipeline(size, decodes_tensors)
    pictures = ImageFolder(
        folder,
        lambda picture: torch.stack([transform(picture), transform(picture)]),
        loader=(lambda path: decode_image(path, ImageReadMode.RGB)) if decodes_tensors else default_loader,
    )
    loader = DataLoader(pictures, batch_size=batch_size, shuffle=True, drop_last=True)
    while True:
        for views, _ in loader:
            yield views.shape[0] * views.shape[1]


def stream_views(data: Path, batch_size: int) -> Iterator[int]:
    """Counts augmented views of our stream, with their parameters."""
    index = open_dataset(data)
    maker = Augmentation(PIPELINE, 0, (1, 2), index.image_size)
    lanes = max(2, default_lanes(batch_size, index.split("train").objects))
    settings = DrawSettings(batch_size, lanes=lanes, buffer_objects=64, maker=maker)
    with draw_batches(DrawStream(data, index, "train", settings), 0) as batches:
        for parts in batches:
            yield 2 * sum(len(part.labels) for part in parts)
