"""The same JPEGs through other readers: from S3 on loopback, and in the formats of other libraries where they are installed.

``load_speed.py`` prints what comes of it. MosaicML Streaming and LitData are no dependencies: give a Python that has them
(and torch), such as that of a virtual environment, with ``load_speed.py --other-python``. That Python runs this file.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torchvision.io import ImageReadMode, decode_jpeg

BUCKET = "views"
LIBRARIES = {"mosaicml": "streaming", "litdata": "litdata"}
"""The module of each library that may be installed elsewhere."""


class Pass(NamedTuple):
    """One pass over a dataset: how many images came, in how many seconds, and seconds of processor time in this process."""

    images: int
    seconds: float
    processor: float

    def row(self, name: str) -> str:
        return f"| {name} | {self.images / self.seconds:,.0f} | {1e6 * self.processor / self.images:,.0f} |"


def timed(images: Iterable[int]) -> Pass:
    """Counts images to their end."""
    begin, processor = time.perf_counter(), time.process_time()
    count = sum(images)
    return Pass(count, time.perf_counter() - begin, time.process_time() - processor)


def decoded(jpeg: bytes) -> torch.Tensor:
    """The pixels, by the decoder that all readers here share."""
    return decode_jpeg(torch.frombuffer(bytearray(jpeg), dtype=torch.uint8), ImageReadMode.RGB)


@contextmanager
def bucket_on_loopback(folder: Path) -> Iterator[str]:
    """The address of a bucket with a dataset, on a server in a process of its own; the environment leads to it."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        os.environ.update(
            AWS_ACCESS_KEY_ID="testing",
            AWS_SECRET_ACCESS_KEY="testing",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        )
        _wait_for(port, server)
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for path in folder.iterdir():
            client.upload_file(str(path), BUCKET, path.name)
        yield f"s3://{BUCKET}"
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the S3 server did not start; is moto[server] installed?")


def our_images(location: str | Path, batch_size: int) -> Iterator[int]:
    """Every training view once, by the view stream, in this process; from an address with an empty cache."""
    from shards.loader import view_batches
    from shards.mirror import dataset_folder
    from shards.schema import open_dataset
    from shards.stream import ViewStream

    with tempfile.TemporaryDirectory(prefix="iebench-cache-", ignore_cleanup_errors=True) as cache:
        os.environ["IEBENCH_CACHE"] = cache
        folder = dataset_folder(location)
        with view_batches(ViewStream(folder, open_dataset(folder), "train", batch_size), 0) as batches:
            for batch in batches:
                yield len(batch.views)


def webdataset_images(location: str | Path, names: list[str]) -> Iterator[int]:
    """Every view of the shards once, by WebDataset's tar iterator, from files or over s3fs."""
    from webdataset.tariterators import group_by_keys, tar_file_expander

    def sources() -> Iterator[dict[str, Any]]:
        if isinstance(location, Path):
            for name in names:
                with (location / name).open("rb") as stream:
                    yield {"url": name, "stream": stream}
            return
        from s3fs import S3FileSystem

        filesystem = S3FileSystem(skip_instance_cache=True)
        for name in names:
            with filesystem.open(f"{location}/{name}", "rb") as stream:
                yield {"url": name, "stream": stream}

    for sample in group_by_keys(tar_file_expander(sources())):
        decoded(sample["jpg"])
        json.loads(sample["json"])
        yield 1


def mosaicml_images(jpegs: list[bytes], folder: Path) -> Iterator[int]:
    """Every image once, by MosaicML Streaming, from its own format on disk."""
    from streaming import MDSWriter, StreamingDataset

    if not folder.exists():
        with MDSWriter(out=str(folder), columns={"jpg": "bytes", "label": "int"}) as writer:
            for jpeg in jpegs:
                writer.write({"jpg": jpeg, "label": 0})
    for sample in StreamingDataset(local=str(folder), shuffle=False, batch_size=1):
        decoded(sample["jpg"])
        yield 1


def litdata_images(jpegs: list[bytes], folder: Path) -> Iterator[int]:
    """Every image once, by LitData, from its own format on disk."""
    from litdata import StreamingDataset
    from litdata.streaming.writer import BinaryWriter

    if not folder.exists():
        folder.mkdir()
        writer = BinaryWriter(str(folder), chunk_bytes="64MB")
        for number, jpeg in enumerate(jpegs):
            writer.add_item(number, {"jpg": jpeg, "label": 0})
        writer.done()
        writer.merge(num_workers=1)
    for sample in StreamingDataset(str(folder), shuffle=False):
        decoded(sample["jpg"])
        yield 1


def elsewhere(python: Path, library: str, data: Path, folder: Path) -> Pass | str:
    """A pass of a library in another Python, or why there is none."""
    command = [str(python), __file__, library, str(data), str(folder)]
    root = str(Path(__file__).parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, env={**os.environ, "PYTHONPATH": root}
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return Pass(*json.loads(done.stdout.splitlines()[-1]))


def main(library: str, data: str, folder: str) -> None:
    """Prints one pass of a library as JSON; the JPEGs are those of the dataset's training shards."""
    from shards.reader import read_views
    from shards.schema import open_dataset

    torch.set_num_threads(1)
    readers: dict[str, Callable[[list[bytes], Path], Iterator[int]]] = {
        "mosaicml": mosaicml_images,
        "litdata": litdata_images,
    }
    jpegs = [view.jpeg for view in read_views(Path(data), open_dataset(data), "train")]
    images = readers[library](jpegs, Path(folder))
    first = next(images)  # by then the format is written
    told = timed(images)
    print(json.dumps((told.images + first, told.seconds, told.processor)))


if __name__ == "__main__":
    main(*sys.argv[1:])
