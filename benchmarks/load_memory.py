"""Whether loader workers grow: their memory after each of ten passes over a dataset.

::

    python benchmarks/load_memory.py --passes 10
"""

import os
import tempfile
from multiprocessing import active_children
from pathlib import Path

import click

from load_speed import packed_views
from shards.loader import draw_batches
from shards.schema import open_dataset
from shards.stream import DrawSettings, DrawStream

WORKERS = 2


@click.command()
@click.option("--passes", default=10, show_default=True)
@click.option("--objects", default=200, show_default=True)
@click.option("--views", default=50, show_default=True, help="Of each object.")
@click.option("--batch-size", default=64, show_default=True, help="Pairs.")
def main(passes: int, objects: int, views: int, batch_size: int) -> None:
    """Prints a Markdown table."""
    with tempfile.TemporaryDirectory(prefix="iebench-load-") as name:
        data = packed_views(Path(name), objects, views)
        index = open_dataset(data)
        stream = DrawStream(
            data, index, "train", DrawSettings(batch_size, lanes=WORKERS, buffer_objects=objects // 2)
        )
        steps = index.split("train").views // 2 // batch_size
        print("| pass | " + " | ".join(f"worker {number}, MiB" for number in range(WORKERS)) + " |")
        print("|---" * (WORKERS + 1) + "|")
        with draw_batches(stream, WORKERS) as batches:
            for number in range(1, passes + 1):
                for _ in range(steps):
                    next(batches)
                workers = sorted(child.pid for child in active_children() if child.pid)
                sizes = [own_memory(worker) / 2**20 for worker in workers]
                print(f"| {number} | " + " | ".join(f"{size:,.0f}" for size in sizes) + " |", flush=True)


def own_memory(pid: int) -> int:
    """Bytes of a process that are its own: neither files nor memory shared with others."""
    resident, shared = (int(field) for field in Path(f"/proc/{pid}/statm").read_text().split()[1:3])
    return (resident - shared) * os.sysconf("SC_PAGESIZE")


if __name__ == "__main__":
    main()
