"""How a view is rendered: the numbers that decide its pixels besides the model and the latents."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

LARGEST_EXTENT = 1e4  # metres; a model larger than the floor is a broken file


Denoiser = Literal["none", "fast", "high"]


class RenderSettings(BaseModel):
    """Settings of one dataset's renders; they are recorded in ``dataset.json``.

    The published generator takes 100 adaptive samples and denoises in the compositor. Fewer samples and
    Cycles' own denoiser, guided by albedo and normals, end closer to the converged image in less time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(default=256, ge=16, le=4096, description="width and height in pixels")
    samples: int = Field(default=16, ge=1, le=65536, description="paths traced for each pixel")
    denoiser: Denoiser = Field(
        default="high", description="quality of OpenImageDenoise, guided by albedo and normal passes"
    )
    jpeg_quality: int = Field(default=95, ge=1, le=100)
