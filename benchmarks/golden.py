"""The converged views that renders are held against, and how far one is off."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from render.blender.scene import Scene
from render.frame import Frame
from render.output import redirected
from render.settings import RenderSettings

DATA = Path(__file__).parents[1] / "tests" / "data"
DILATION = 2  # pixels by which the object's mask is widened, so that its edge counts


@dataclass(frozen=True)
class GoldenView:
    """One converged view of the published scene (1024 samples, no denoiser, no dither)."""

    synset: str
    object: str
    view: int

    @property
    def name(self) -> str:
        """Such as ``mug0/2``."""
        return f"{self.object}/{self.view}"

    @property
    def group(self) -> str:
        """``doubled`` for models that hold every face twice, as ShapeNetCore v2 does, else ``clean``."""
        return "doubled" if self.object.endswith("_doubled") else "clean"

    @property
    def model(self) -> Path:
        return DATA / "models" / self.synset / self.object / "models" / "model_normalized.obj"

    @property
    def latents(self) -> np.ndarray:
        """(7,) float64."""
        return np.load(self._folder("golden") / f"latent_{self.view}.npy")

    @property
    def truth(self) -> np.ndarray:
        """(256, 256, 3) uint8, RGB."""
        with Image.open(self._folder("golden") / f"image_{self.view}.png") as image:
            return np.array(image.convert("RGB"))

    @property
    def published(self) -> np.ndarray:
        """What the published pipeline writes for these latents, red and blue swapped back."""
        with Image.open(self._folder("jpg") / f"image_{self.view}.jpg") as image:
            return np.array(image.convert("RGB"))[..., ::-1]

    def _folder(self, kind: str) -> Path:
        return DATA / kind / self.synset / self.object


@dataclass(frozen=True)
class Fidelity:
    """Peak signal-to-noise ratio, dB, over the whole image and over the object's pixels."""

    whole: float
    object: float

    @classmethod
    def measure(cls, image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> "Fidelity":
        """Compares (size, size, 3) uint8 images; ``mask`` is (size, size) bool."""
        return cls(psnr(image, truth), psnr(image[mask], truth[mask]))


def golden_views() -> list[GoldenView]:
    """All 32, model by model."""
    paths = sorted((DATA / "golden").glob("*/*/image_*.png"))
    return [
        GoldenView(path.parts[-3], path.parts[-2], int(path.stem.removeprefix("image_"))) for path in paths
    ]


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """10 log10(255² / mean squared error), dB."""
    error = np.mean((image.astype(float) - truth.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / error))


def rendered(settings: RenderSettings) -> list[tuple[GoldenView, np.ndarray]]:
    """Every golden view with what these settings make of it, (256, 256, 3) uint8, on all cores."""
    with redirected(1, Path(os.devnull)):
        return [(golden, frame.image) for golden, frame in _frames(settings)]


def object_masks() -> dict[str, np.ndarray]:
    """(256, 256) bool per view's name: the object's pixels and those next to it."""
    settings = RenderSettings(samples=1, denoiser="none", passes=("mask",))
    with redirected(1, Path(os.devnull)):
        return {
            golden.name: binary_dilation(frame.mask, iterations=DILATION)
            for golden, frame in _frames(settings)
        }


def _frames(settings: RenderSettings) -> Iterator[tuple[GoldenView, Frame]]:
    scene, loaded = Scene(settings, threads=0), None
    for golden in golden_views():
        if golden.model != loaded:
            scene.load(golden.model)
            loaded = golden.model
        yield golden, scene.render(golden.latents)
    scene.close()
