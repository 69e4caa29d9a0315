"""The section ``[augmentation]`` of a recipe."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Chance = Annotated[float, Field(ge=0, le=1)]
Range = Annotated[list[float], Field(min_length=2, max_length=2)]
"""A smallest and a largest number."""


class AugmentationConfig(BaseModel):
    """The pipeline that makes views of a picture, in this order; the defaults are EquiMod's for SimCLR on CIFAR-10.

    Probabilities of blur and solarization are lists: one for the first augmented view, one for the second, and so on; the
    last one applies to all further views.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    crop_scale: Range = Field(
        default=[0.2, 1.0], description="smallest and largest share of the picture's area in a crop"
    )
    crop_ratio: Range = Field(
        default=[3 / 4, 4 / 3], description="smallest and largest width of a crop over its height"
    )
    flip: Chance = Field(default=0.5, description="probability that a view is flipped left to right")
    jitter: Chance = Field(default=0.8, description="probability that the colors are jittered")
    brightness: float = Field(default=0.4, ge=0, description="x of a factor of brightness in [1 - x, 1 + x]")
    contrast: float = Field(default=0.4, ge=0, description="x of a factor of contrast in [1 - x, 1 + x]")
    saturation: float = Field(default=0.4, ge=0, description="x of a factor of saturation in [1 - x, 1 + x]")
    hue: float = Field(default=0.1, ge=0, le=0.5, description="x of a shift of hue in [-x, x], in turns")
    grayscale: Chance = Field(default=0.2, description="probability that a view is gray")
    blur: list[float] = Field(default=[0.0], min_length=1, description="probability of a blur, by view")
    blur_sigma: Range = Field(
        default=[0.1, 2.0], description="smallest and largest standard deviation of a blur in pixels"
    )
    solarize: list[float] = Field(
        default=[0.0], min_length=1, description="probability of solarization, by view"
    )
    solarize_threshold: int = Field(
        default=128, ge=0, le=255, description="level from which on solarization inverts"
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(
                "crop_scale is a share of the picture's area, from a smaller to a larger in (0, 1]"
            )
        for name in ("crop_ratio", "blur_sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f"{name} goes from a smaller to a larger number above 0")
        for name in ("blur", "solarize"):
            if not all(0 <= chance <= 1 for chance in getattr(self, name)):
                raise ValueError(f"{name} holds probabilities in [0, 1]")
        return self

    def recorded_groups(self) -> tuple[str, ...]:
        """Returns the groups of parameters that vary from view to view."""
        found = {
            "crop": self.crop_scale != [1.0, 1.0] or self.crop_ratio != [1.0, 1.0],
            "flip": self.flip > 0,
            "color_jitter": self.jitter > 0
            and max(self.brightness, self.contrast, self.saturation, self.hue) > 0,
            "grayscale": self.grayscale > 0,
            "blur": max(self.blur) > 0,
            "solarize": max(self.solarize) > 0,
        }
        return tuple(name for name, varies in found.items() if varies)
