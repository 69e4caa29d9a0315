"""Pictures for tests: what each kind of file looks like."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(seed: int = 0, width: int = 40, height: int = 30) -> np.ndarray:
    """A smooth picture, which survives a JPEG."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def encoded(image: Image.Image | np.ndarray, kind: str = "JPEG", **options) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def write_class_folders(folder: Path, per_class: int = 6, size: tuple[int, int] = (40, 30)) -> Path:
    """Class folders of two classes, with JPEGs."""
    for label, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            data = encoded(pixels(10 * label + number, *size), quality=80)
            (folder / name / f"p{number}.jpg").write_bytes(data)
    return folder
