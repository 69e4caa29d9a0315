"""How much faster K steps of one embedding are than K encodings, as test-time augmentation needs them.

Untrained networks, random pixels, in turns within one run; on the CPU, times are of the processor::

    python benchmarks/steering_speed.py
    python benchmarks/steering_speed.py --device cuda --batch 64
"""

import statistics
import time
from collections.abc import Callable

import click
import torch

from iebench.augmentations.parameter_scale import ParameterScale
from iebench.augmentations.parameters import PARAMETERS
from iebench.backbones.builtin import REPRESENTATION_DIMENSIONS, BackboneConfig, build_backbone
from iebench.methods.parts.predictors import PredictorConfig, build_predictor
from iebench.methods.parts.projectors import mlp_projector
from iebench.methods.parts.transformations import AUGMENTATION_GROUPS, relative_transformation

GROUPS = AUGMENTATION_GROUPS[:4]
CASES = (("resnet18", 64), ("resnet50", 224))
EMBEDDING = 128


@click.command()
@click.option("--views", default=64, show_default=True, help="That are averaged.")
@click.option("--batch", default=8, show_default=True, help="Pictures at once.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(views: int, batch: int, rounds: int, device: str, threads: int) -> None:
    """Prints a Markdown table."""
    torch.set_num_threads(threads)
    print(
        f"| network | {views} encodings, ms a picture | 1 encoding and {views} steps | times |\n|---|---|---|---|"
    )
    for name, size in CASES:
        images, steps = ways(name, size, views, batch, torch.device(device))  # type: ignore[arg-type]
        images(), steps()
        found = [(seconds(images, device), seconds(steps, device)) for _ in range(rounds)]
        encoded, steered = (1000 * statistics.median(column) / batch for column in zip(*found, strict=True))
        ratio = statistics.median(one / other for one, other in found)
        print(f"| {name}, {size} px | {encoded:,.1f} | {steered:,.1f} | {ratio:.1f} |")


def ways(
    name: str, size: int, views: int, batch: int, device: torch.device
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Many encodings, and one encoding with as many steps, of a batch of pictures."""
    torch.manual_seed(0)
    backbone = build_backbone(BackboneConfig(name=name), size).eval().to(device)
    projector = mlp_projector(REPRESENTATION_DIMENSIONS[name], [512, EMBEDDING]).eval().to(device)
    predictor = build_predictor(PredictorConfig(kind="steer"), EMBEDDING, GROUPS).eval().to(device)
    standardization = ParameterScale().to(device)
    pixels = torch.rand(batch, 3, size, size, device=device)
    latents = torch.rand(batch, len(PARAMETERS), dtype=torch.float64, device=device)

    @torch.inference_mode()
    def encodings() -> list[torch.Tensor]:
        return [projector(backbone(pixels)) for _ in range(views)]

    @torch.inference_mode()
    def steps() -> list[torch.Tensor]:
        source = projector(backbone(pixels))
        return [
            predictor(
                source,
                relative_transformation(latents, standardization(latents), GROUPS, PARAMETERS).float(),
            )
            for _ in range(views)
        ]

    return encodings, steps


def seconds(work: Callable[[], object], device: str) -> float:
    """How long some work takes: on a GPU by the clock, on the CPU by processor time, which other programs change little."""
    clock = time.perf_counter if device.startswith("cuda") else time.process_time
    start = clock()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return clock() - start


if __name__ == "__main__":
    main()
