"""Every method at toy size, with a batch that gives each what it asks for."""

from typing import Any

import torch

from iebench.methods import Batch, Dimensions, Method, find_method
from iebench.methods.method import method_names
from iebench.methods.parts.transformations import DIMENSIONS

WIDTH, CLASSES = 16, 3
METHODS = method_names()
SMALL: dict[str, Any] = {
    "projector": [16, 8],
    "equivariant_projector": [16, 8],
    "equivariant_dimension": 8,
    "parameter_width": 8,
    "prediction_width": 12,
}
"""Values of every method that has such a field."""
OWN: dict[str, dict[str, Any]] = {
    "equimod_simclr": {"groups": ["crop", "blur"]},
    "steerable": {"groups": ["rotation", "color"], "supervision": 0.5},
    "supervised": {"task": "transformation"},
}


def small_method(name: str, **fields: Any) -> Method:
    """A method with small networks, always the same weights."""
    entry = find_method(name)
    small = {field: value for field, value in SMALL.items() if field in entry.config.model_fields}
    content = {"name": name, **small, **OWN.get(name, {}), **fields}
    torch.manual_seed(0)
    return entry.build(entry.config.model_validate(content), Dimensions(WIDTH, CLASSES))


def small_batch(method: Method, rows: int = 8, seed: int = 1) -> Batch:
    """Random representations, with transformations, labels and targets as the method needs them."""
    generator = torch.Generator().manual_seed(seed)
    count = range(method.view_count)
    views = tuple(torch.randn(rows, WIDTH, generator=generator).requires_grad_() for _ in count)
    transformations = tuple(
        torch.randn(rows, sum(DIMENSIONS[group] for group in relation.groups), generator=generator)
        for relation in method.relations()
    )
    targets = tuple(torch.randn(rows, WIDTH, generator=generator) for _ in method.target_views)
    labels = torch.randint(CLASSES, (rows,), generator=generator)
    return Batch(views, transformations, labels, targets if method.base_momentum is not None else None)
