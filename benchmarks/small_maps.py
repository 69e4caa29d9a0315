"""What it saves on the CPU to compute small maps as products of matrices (iebench/backbones/small_maps.py).

Training steps of ResNets at 64 px with the stem for large images, by turns as products and as convolutions::

    python benchmarks/small_maps.py
"""

import statistics
import time

import click
import torch

from iebench.backbones import small_maps
from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.training.precision import has_fast_bfloat16

CASES = ("resnet10", "resnet18", "resnet50", "sie_resnet18")
PRODUCTS = small_maps.SMALL


@click.command()
@click.option("--batch", default=128, show_default=True, help="Images of a step.")
@click.option("--rounds", default=9, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(batch: int, rounds: int, threads: int) -> None:
    """Prints a Markdown table: images/s by the median of the turns, and the median of their ratios."""
    torch.set_num_threads(threads)
    print("| network | precision | products, images/s | convolutions | times |\n|---|---|---|---|---|")
    has_bfloat16 = has_fast_bfloat16(torch.device("cpu"))
    for name in CASES:
        for dtype in (torch.float32, torch.bfloat16)[: 1 + has_bfloat16]:
            turns = measure(name, dtype, batch, rounds)
            products, convolutions = (statistics.median(column) for column in zip(*turns, strict=True))
            ratio = statistics.median(convolution / product for product, convolution in turns)
            precision = str(dtype).removeprefix("torch.")
            print(
                f"| {name} | {precision} | {batch / products:.0f} | {batch / convolutions:.0f} | {ratio:.2f} |",
                flush=True,
            )


def measure(name: str, dtype: torch.dtype, batch: int, rounds: int) -> list[tuple[float, float]]:
    """Seconds of a step as products and as convolutions, for each turn."""
    images = torch.rand(batch, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    config = BackboneConfig(name=name, small_image_stem=False)  # type: ignore[arg-type]
    networks = {
        small: build_backbone(config, 64).to(memory_format=torch.channels_last) for small in (PRODUCTS, 0)
    }

    def step(small: int) -> float:
        small_maps.SMALL = small
        network = networks[small]
        network.zero_grad()
        start = time.perf_counter()
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            loss = network(images).square().mean()
        loss.backward()
        return time.perf_counter() - start

    step(PRODUCTS), step(0)
    return [(step(PRODUCTS), step(0)) for _ in range(rounds)]


if __name__ == "__main__":
    main()
