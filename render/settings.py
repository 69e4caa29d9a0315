"""The settings of rendering: the numbers that decide the pixels of a view besides the model and the latents."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shards.images import ChannelOrder, Chroma, JpegTables
from shards.passes import Pass, in_order

LARGEST_EXTENT = 1e4  # metres; a model larger than the floor is a broken file
LARGEST_RESCALED_EXTENT = 1e8  # of models that come in any unit and are scaled

Denoiser = Literal["none", "fast", "balanced", "high", "compositor"]
"""Off, OpenImageDenoise within Cycles at one of its qualities, or as the published compositor runs it."""

Guides = Literal["none", "albedo", "albedo_normal"]
Prefilter = Literal["none", "fast", "accurate"]
PresetName = Literal["draft", "standard", "reference"]

CoincidentFaces = Literal["drop", "keep"]
"""One face of each set on the same vertices, as 3DIEBench shows ShapeNet's models; or all of them."""

Sampling = Literal["automatic", "sobol"]
"""The pattern of random numbers: Blender's choice (blue noise below 256 samples), or tabulated Sobol points."""


class RenderSettings(BaseModel):
    """Settings of one dataset's renders; they are recorded in ``dataset.json``.

    The published generator takes 100 adaptive samples and denoises in the compositor. Fewer samples and
    Cycles' own denoiser, guided by albedo and normals, end closer to the converged image in less time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(default=256, ge=16, le=4096, description="width and height in pixels")
    samples: int = Field(default=6, ge=1, le=65536, description="paths traced for each pixel, at most")
    adaptive_threshold: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="noise below which a pixel gets no more samples; 0 turns adaptive sampling off",
    )
    min_samples: int = Field(
        default=0,
        ge=0,
        le=4096,
        description="fewest samples before adaptive sampling may stop a pixel; 0 leaves it to Blender",
    )
    sampling: Sampling = Field(default="sobol", description="pattern of the random numbers")
    coincident_faces: CoincidentFaces = Field(
        default="drop", description="whether one face or all are shown where several are on the same vertices"
    )
    denoiser: Denoiser = "high"
    guides: Guides = Field(default="albedo_normal", description="passes that the denoiser is shown")
    prefilter: Prefilter = Field(default="fast", description="how the guides are denoised themselves")
    dither: float = Field(
        default=0.0,
        ge=0,
        le=2,
        description="noise before rounding to 8 bits; it would be noise under the JPEG",
    )
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    jpeg_tables: JpegTables = Field(
        default="flat", description="steps of the JPEG: the same for all frequencies, or the standard's"
    )
    chroma: Chroma = Field(default="4:4:4", description="chroma subsampling of the JPEG")
    channel_order: ChannelOrder = Field(
        default="rgb", description="bgr swaps red and blue, as the published images have them"
    )
    passes: tuple[Pass, ...] = Field(default=(), description="stored beside the image, from the same render")

    @field_validator("passes")
    @classmethod
    def _each_once(cls, passes: tuple[Pass, ...]) -> tuple[Pass, ...]:
        return in_order(passes)


PRESETS: dict[PresetName, RenderSettings] = {
    "draft": RenderSettings(samples=4, denoiser="fast"),
    "standard": RenderSettings(),
    "reference": RenderSettings(
        samples=100,
        adaptive_threshold=0.01,
        denoiser="compositor",
        prefilter="accurate",
        dither=1.0,
        sampling="automatic",
        jpeg_tables="standard",
        chroma="4:2:0",
    ),
}
"""Settings by purpose; ``benchmarks/RESULTS.md`` has the measurements they were chosen from.

``draft`` is for looking, ``standard`` for datasets, ``reference`` is what the published generator does.
"""
