"""Computes the transformations between views from batches of latents."""

from collections.abc import Collection, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

SceneGroup = Literal["rotation", "color", "light", "translation"]
AugmentationGroup = Literal["crop", "flip", "color_jitter", "grayscale", "blur", "solarize"]
Group = Literal[SceneGroup, AugmentationGroup]

LATENTS: dict[Group, tuple[str, ...]] = {
    "rotation": ("rotation_x", "rotation_y", "rotation_z"),
    "color": ("floor_hue", "light_hue"),
    "light": ("light_theta", "light_phi"),
    "translation": ("translation_x", "translation_y", "translation_z"),
    "crop": ("crop_top", "crop_left", "crop_height", "crop_width"),
    "flip": ("flip",),
    "color_jitter": (
        *("jitter", "jitter_first", "jitter_second", "jitter_third", "jitter_fourth"),
        *("brightness", "contrast", "saturation", "hue"),
    ),
    "grayscale": ("grayscale",),
    "blur": ("blur", "blur_sigma"),
    "solarize": ("solarize",),
}
"""The latents that each group of transformations changes."""

SCENE_GROUPS: tuple[SceneGroup, ...] = get_args(SceneGroup)
AUGMENTATION_GROUPS: tuple[AugmentationGroup, ...] = get_args(AugmentationGroup)
"""Groups of augmentations that were applied to a picture, in the order of EquiMod's vector of parameters."""

DIMENSIONS: dict[Group, int] = {
    "rotation": 4,
    "color": 2,
    "light": 3,
    "translation": 3,
    **{group: len(LATENTS[group]) for group in AUGMENTATION_GROUPS},
}
"""How many numbers describe a transformation of each group."""


def groups_of(latent_names: Collection[str]) -> tuple[Group, ...]:
    """Returns the groups whose latents are all among ``latent_names``."""
    return tuple(group for group, names in LATENTS.items() if set(names) <= set(latent_names))


def quaternion_from_euler(angles: Tensor) -> Tensor:
    """Converts extrinsic xyz Tait-Bryan angles (batch, 3), rad, to unit quaternions x y z w (batch, 4).

    They have the sign of SciPy's ``Rotation.from_euler("xyz", ...)``.
    """
    (cx, cy, cz), (sx, sy, sz) = torch.cos(angles / 2).unbind(1), torch.sin(angles / 2).unbind(1)
    return torch.stack(
        (
            sx * cy * cz - cx * sy * sz,
            cx * sy * cz + sx * cy * sz,
            cx * cy * sz - sx * sy * cz,
            cx * cy * cz + sx * sy * sz,
        ),
        dim=1,
    )


def relative_rotation(first: Tensor, second: Tensor) -> Tensor:
    """Computes the rotations, unit quaternions x y z w (batch, 4), from first poses to second.

    Poses are extrinsic xyz angles (batch, 3), rad; the result is that of SciPy's ``(r1.inv() * r2).as_quat()``.
    """
    x1, y1, z1, w1 = quaternion_from_euler(first).unbind(1)
    x2, y2, z2, w2 = quaternion_from_euler(second).unbind(1)
    return torch.stack(
        (
            w1 * x2 - x1 * w2 - y1 * z2 + z1 * y2,
            w1 * y2 + x1 * z2 - y1 * w2 - z1 * x2,
            w1 * z2 - x1 * y2 + y1 * x2 - z1 * w2,
            w1 * w2 + x1 * x2 + y1 * y2 + z1 * z2,
        ),
        dim=1,
    )


def light_direction(angles: Tensor) -> Tensor:
    """Computes unit vectors (batch, 3) towards the light of angles (batch, 2), rad: theta from the vertical, azimuth phi."""
    theta, phi = angles.unbind(1)
    return torch.stack(
        (torch.sin(theta) * torch.cos(phi), torch.sin(theta) * torch.sin(phi), torch.cos(theta)), dim=1
    )


def relative_transformation(
    first: Tensor, second: Tensor, groups: Sequence[Group], latent_names: Sequence[str]
) -> Tensor:
    """Computes the transformations from first to second views, for several groups side by side.

    Args:
        first: Latents (batch, number of latents) of the first views.
        second: Latents (batch, number of latents) of the second views.
        groups: Groups, in the order in which their numbers stand side by side.
        latent_names: Names of the latents' columns.

    Returns:
        (batch, sum of the groups' dimensions) float: a quaternion for ``rotation``; for the others second minus
        first: two hues (floor, light) for ``color``, the unit vector towards the light for ``light``, a
        position for ``translation``. Of augmentations it is the second view's own parameters, as EquiMod is told them;
        the first view is the original.
    """
    parts = []
    for group in groups:
        columns = [latent_names.index(name) for name in LATENTS[group]]
        before, after = _chosen(first, columns), _chosen(second, columns)
        if group == "rotation":
            parts.append(relative_rotation(before, after))
        elif group in AUGMENTATION_GROUPS:
            parts.append(after)
        elif group == "light":
            parts.append(light_direction(after) - light_direction(before))
        else:
            parts.append(after - before)
    return torch.cat(parts, dim=1)


def _chosen(latents: Tensor, columns: Sequence[int]) -> Tensor:
    """Returns some columns of latents; a list as an index would make the host wait for the GPU."""
    return torch.stack([latents[:, column] for column in columns], dim=1)
