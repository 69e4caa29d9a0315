"""How fast pairs come out of shards: against a folder loader with the published semantics, and bare decoding.

All of it in one run on the same JPEGs, in turns, so that the ratios hold on a machine whose speed varies. The dataset
is made of the views in tests/data, which the published pipeline wrote (256 px). Then, on the same shards: single views in
any order, a whole pass from disk and from S3 on loopback beside WebDataset's own reader, and what an empty cache has to
wait for. MosaicML Streaming and LitData take part where another Python has them. Ratios are of processor time, of all
processes together, which other programs of the machine change little; Linux tells it::

    python benchmarks/load_speed.py
    python benchmarks/load_speed.py --other-python /tmp/other/bin/python
"""

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg

from augmented_readers import folder_views, stream_views
from iebench.cli.progress import ViewBar
from other_readers import LIBRARIES, Pass, bucket_on_loopback, elsewhere, our_images, timed, webdataset_images
from shards import access
from shards.images import encode_jpeg
from shards.lanes import default_lanes
from shards.loader import draw_batches
from shards.pack_run import pack
from shards.pictures.picture_plan import make_picture_plan, open_pictures
from shards.published.pack import OBJECTS_PER_SHARD, make_pack_plan
from shards.reader import read_views
from shards.schema import DatasetIndex, open_dataset
from shards.stream import DrawSettings, DrawStream
from shards.variants import VARIANTS, draw_latents

JPEGS = Path(__file__).parents[1] / "tests" / "data" / "jpg"
MEAN, STD = (0.5016, 0.5037, 0.5060), (0.1030, 0.0999, 0.0969)


Loaders = dict[str, Callable[[], Iterator[int]]]
"""Functions that start to count images, by the words for a loader."""


class Rate(NamedTuple):
    """Images a second, by the clock and by the processor time of all processes."""

    wall: float
    processor: float


class PublishedFolder(Dataset):
    """Pairs as the published loader gives them: for each, two JPEG files, two files of latents, and a rotation."""

    def __init__(self, root: Path, views: int) -> None:
        self.objects = sorted(root.glob("*/*"))
        self.views = views
        self.random = np.random.default_rng(0)
        self.mean, self.std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))

    def __len__(self) -> int:
        """An epoch is one pair per object."""
        return len(self.objects)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, ...]:
        """Both views, normalized, the rotation between them and the difference of hues."""
        folder = self.objects[number]
        one, other = self.random.choice(self.views, 2, replace=False)
        first, second = (self._image(folder / f"image_{view}.jpg") for view in (one, other))
        before, after = (np.load(folder / f"latent_{view}.npy") for view in (one, other))
        rotations = [Rotation.from_euler("xyz", latents[:3]) for latents in (before, after)]
        rotation = torch.from_numpy((rotations[0].inv() * rotations[1]).as_quat()).float()
        color = torch.from_numpy(after[[3, 6]] - before[[3, 6]]).float()
        return first, second, rotation, color

    def _image(self, path: Path) -> torch.Tensor:
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        return (pixels.float() / 255 - self.mean) / self.std


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Turns of each loader.")
@click.option("--objects", default=120, show_default=True)
@click.option("--views", default=50, show_default=True, help="Of each object.")
@click.option("--batch-size", default=64, show_default=True, help="Pairs.")
@click.option("--images", default=6_000, show_default=True, help="Of each turn.")
@click.option("--other-python", type=click.Path(path_type=Path), help="One with other libraries.")
def main(
    rounds: int, objects: int, views: int, batch_size: int, images: int, other_python: Path | None
) -> None:
    """Prints Markdown tables."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="iebench-load-") as name:
        source, data = Path(name) / "published", packed_views(Path(name), objects, views)
        index = open_dataset(data)
        loaders: Loaders = {
            "folder loader, published semantics": lambda: folder_images(source, views, batch_size),
            "bare `torchvision.io.decode_jpeg`": lambda: bare_images(data, index),
            "pair stream, in the process": lambda: stream_images(data, index, batch_size, 0),
            "pair stream, one worker": lambda: stream_images(data, index, batch_size, 1),
            "pair stream, two workers": lambda: stream_images(data, index, batch_size, 2),
            "single views in any order, `Dataset(DATA)[i]`": lambda: random_images(data),
        }
        rates = in_turns(loaders, rounds, images)
        print_table(rates)
        print_augmented(source, rounds, batch_size, images // 4, Path(name))
        print_passes(data, index, batch_size, rounds, other_python, Path(name))
        print_first_batch(data, batch_size, Path(name))


def packed_views(
    folder: Path,
    objects: int,
    views: int,
    size: int | None = None,
    objects_per_shard: int = OBJECTS_PER_SHARD,
) -> Path:
    """A dataset of the stored JPEGs over and over, if asked made smaller; ``folder/published`` has its source."""
    source, data = folder / "published", folder / "views"
    stored = sorted(JPEGS.glob("*/*/*.jpg"))
    jpegs = cycle([path.read_bytes() if size is None else shrunk(path, size) for path in stored])
    for number in range(objects):
        synset, name = f"{number % 5:08d}", f"object{number:05d}"
        object_folder = source / synset / name
        object_folder.mkdir(parents=True)
        for view, jpeg in zip(range(views), jpegs, strict=False):
            (object_folder / f"image_{view}.jpg").write_bytes(jpeg)
            latents = draw_latents(VARIANTS["3diebench"], 0, synset, name, view)
            np.save(object_folder / f"latent_{view}.npy", latents)
    pack(make_pack_plan(source, objects_per_shard=objects_per_shard), data, 2, ViewBar("pack"))
    return data


def shrunk(path: Path, size: int) -> bytes:
    """A JPEG of so many pixels, encoded as ours are."""
    with Image.open(path) as image:
        return encode_jpeg(np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BOX)))


def folder_images(root: Path, views: int, batch_size: int) -> Iterator[int]:
    """Counts images of batches of the folder loader."""
    loader = DataLoader(PublishedFolder(root, views), batch_size=batch_size, shuffle=True, drop_last=True)
    while True:
        for batch in loader:
            yield 2 * len(batch[0])


def bare_images(data: Path, index: DatasetIndex) -> Iterator[int]:
    """Counts images decoded one by one from bytes in memory."""
    stored = [
        torch.frombuffer(bytearray(view.jpeg), dtype=torch.uint8)
        for view in islice(read_views(data, index, "train"), 1000)
    ]
    while True:
        for jpeg in stored:
            decode_jpeg(jpeg, ImageReadMode.RGB)
            yield 1


def stream_images(data: Path, index: DatasetIndex, batch_size: int, workers: int) -> Iterator[int]:
    """Counts images of the stream's batches."""
    lanes = max(2, default_lanes(batch_size, index.split("train").objects))
    stream = DrawStream(data, index, "train", DrawSettings(batch_size, lanes=lanes, buffer_objects=64))
    with draw_batches(stream, workers) as batches:
        for parts in batches:
            yield 2 * sum(len(part.labels) for part in parts)


def random_images(data: Path) -> Iterator[int]:
    """Counts single views at random positions, decoded and with their latents."""
    views = access.Dataset(data, "train")
    random = np.random.default_rng(0)
    while True:
        views[int(random.integers(len(views)))]
        yield 1


def in_turns(loaders: Loaders, rounds: int, images: int) -> dict[str, list[Rate]]:
    """Rates of each loader in each turn; what it takes to start and to fill is not counted."""
    rates: dict[str, list[Rate]] = {name: [] for name in loaders}
    for _ in range(rounds):
        for name, start in loaders.items():
            counts = start()
            settled = 0
            while settled < images // 2:
                settled += next(counts)
            begin, processor, done = time.perf_counter(), processor_seconds(), 0
            while done < images:
                done += next(counts)
            passed, used = time.perf_counter() - begin, processor_seconds() - processor
            rates[name].append(Rate(done / passed, done / used))
            counts.close()  # type: ignore[attr-defined]
    return rates


def processor_seconds() -> float:
    """Processor time of this process and of the loader workers that it has now."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime, see proc(5)
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def print_table(rates: dict[str, list[Rate]]) -> None:
    """Medians, and ratios within each turn."""
    folder, bare, _, one, two, _ = rates.values()
    print(
        "\n| 256 px | images/s | by processor time: images/s | times the folder loader | share of bare decoding |"
    )
    print("|---|---|---|---|---|")
    for name, values in rates.items():
        wall, processor = (statistics.median(column) for column in zip(*values, strict=True))
        times, share = (processor_ratio(values, others) for others in (folder, bare))
        print(f"| {name} | {wall:,.0f} | {processor:,.0f} | {times:.1f} | {share:.2f} |")
    gain = statistics.median(two.wall / one.wall for two, one in zip(two, one, strict=True))
    print(f"\nTwo workers against one, by the clock: {gain:.2f} times")


def print_augmented(source: Path, rounds: int, batch_size: int, images: int, room: Path) -> None:
    """Augmented views a second: of class folders by torchvision, and of the same pictures by our stream."""
    folders, packed = room / "pictures", room / "packed"
    for number, path in enumerate(sorted(source.glob("*/*/image_0.jpg"))):
        class_folder = folders / path.parts[-3]
        class_folder.mkdir(parents=True, exist_ok=True)
        (class_folder / f"p{number:05d}.jpg").write_bytes(path.read_bytes())
    plan = make_picture_plan(open_pictures(folders), crop=224)
    pack(plan, packed, 2, ViewBar("pack"))
    loaders: Loaders = {
        "`ImageFolder`, Pillow": lambda: folder_views(folders, batch_size, 224, decodes_tensors=False),
        "`ImageFolder`, torchvision's decoder": lambda: folder_views(
            folders, batch_size, 224, decodes_tensors=True
        ),
        "stream of pictures": lambda: stream_views(packed, batch_size),
    }
    rates = in_turns(loaders, rounds, images)
    first = next(iter(rates.values()))
    print(
        "\n| augmented views, 256 to 224 px | views/s a core, by processor time | times ImageFolder |\n|---|---|---|"
    )
    for name, values in rates.items():
        rate = statistics.median(value.processor for value in values)
        print(f"| {name} | {rate:,.0f} | {processor_ratio(values, first):.2f} |")


def print_passes(
    data: Path, index: DatasetIndex, batch_size: int, rounds: int, other_python: Path | None, room: Path
) -> None:
    """A pass over all training views by each reader, in turns: the median of the turns."""
    names = [shard.name for shard in index.split("train").shards]
    with bucket_on_loopback(data) as bucket:
        readers: dict[str, Callable[[], Pass | str]] = {
            "disk: view stream": lambda: timed(our_images(data, batch_size)),
            "disk: WebDataset's reader": lambda: timed(webdataset_images(data, names)),
            "S3, empty cache: view stream": lambda: timed(our_images(bucket, batch_size)),
            "S3: WebDataset's reader over s3fs": lambda: timed(webdataset_images(bucket, names)),
        }
        for library in LIBRARIES:
            readers[f"disk: {library}"] = lambda library=library: (  # type: ignore[misc]
                elsewhere(other_python, library, data, room / library)
                if other_python
                else "not asked for (--other-python)"
            )
        found = [{name: read() for name, read in readers.items()} for _ in range(rounds)]
    print("\n| a pass, decoded | images/s | µs of processor time an image |\n|---|---|---|")
    for name in readers:
        passes = [turn[name] for turn in found]
        whole = sorted(told for told in passes if isinstance(told, Pass))
        middle = sorted(whole, key=lambda told: told.processor)[len(whole) // 2] if whole else None
        print(middle.row(name) if middle else f"| {name} | absent: {passes[0]} | |")


def print_first_batch(data: Path, batch_size: int, room: Path, rate: float = 10.0) -> None:
    """What the first batch from an address waits for; ``first_batch.py`` has more shards, and compares."""
    from first_batch import first_batch_cost

    print(f"\n| first batch, empty cache, {rate:g} MB/s | MB | seconds |\n|---|---|---|")
    for what in ("training", "evaluation"):
        sent, seconds = first_batch_cost(data, what, room / f"cold-{what}", batch_size, 2, rate)
        print(f"| {what} | {sent:,.1f} | {seconds:.1f} |")


def processor_ratio(values: list[Rate], others: list[Rate]) -> float:
    """The median of the turns' ratios."""
    pairs = zip(values, others, strict=True)
    return statistics.median(value.processor / other.processor for value, other in pairs)


if __name__ == "__main__":
    main()
