"""How much must come from an address before the first batch: with ``latents.parquet`` and without, from a throttled server.

The server on loopback gives all connections together so many bytes a second. The dataset is that of ``load_speed.py``; it
is small beside 3DIEBench, whose shards have 60 MB, so what counts is the share of the dataset that comes::

    python benchmarks/first_batch.py
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click

from load_speed import packed_views
from shards.loader import draw_batches, view_batches
from shards.mirror import dataset_folder
from shards.schema import INDEX_NAME, open_dataset
from shards.stream import DrawSettings, DrawStream, ViewStream

_PIECE = 1 << 14


class Throttle:
    """Lets bytes pass at a rate, whoever asks, and counts them."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.sent = 0
        self._lock = threading.Lock()
        self._free_at = time.monotonic()

    def take(self, size: int) -> None:
        """Waits until so many bytes may pass."""
        with self._lock:
            self.sent += size
            self._free_at = max(self._free_at, time.monotonic()) + size / self.rate
            wait = self._free_at - time.monotonic()
        time.sleep(max(0.0, wait))


@contextmanager
def serving(folder: Path, throttle: Throttle) -> Iterator[str]:
    """The address of a folder on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = (folder / Path(self.path).name).read_bytes()
            asked = self.headers.get("Range", "").removeprefix("bytes=")
            first, _, last = asked.partition("-")
            start, stop = int(first or 0), int(last) + 1 if last else len(data)
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
            self.send_header("Content-Length", str(stop - start))
            self.end_headers()
            try:
                for offset in range(start, stop, _PIECE):
                    piece = data[offset : min(offset + _PIECE, stop)]
                    throttle.take(len(piece))
                    self.wfile.write(piece)
            except OSError:
                return  # whoever asked has gone

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/views"
    finally:
        server.shutdown()


@click.command()
@click.option("--objects", default=600, show_default=True)
@click.option("--views", default=50, show_default=True, help="Of each object.")
@click.option("--batch-size", default=64, show_default=True, help="Pairs.")
@click.option("--lanes", default=16, show_default=True)
@click.option("--rate", default=20.0, show_default=True, help="MB/s.")
def main(objects: int, views: int, batch_size: int, lanes: int, rate: float) -> None:
    """Prints a Markdown table."""
    with tempfile.TemporaryDirectory(prefix="iebench-first-batch-", ignore_cleanup_errors=True) as name:
        data = packed_views(Path(name), objects, views, objects_per_shard=10)
        size = sum(path.stat().st_size for path in data.iterdir()) / 1e6
        print(f"\n{size:,.0f} MB in {len(list(data.glob('*.tar')))} shards, {rate:g} MB/s\n")
        print("| | MB before the first batch | seconds |\n|---|---|---|")
        index = json.loads((data / INDEX_NAME).read_text())
        for way, words, changes in (
            ("shards", "by whole shards, without it", {"latents_table": None}),
            ("ranges", "by ranges, with `latents.parquet`", {}),
        ):
            (data / INDEX_NAME).write_text(json.dumps(index | changes))
            for what in ("training", "evaluation"):
                cache = Path(name) / f"cache-{way}-{what}"
                sent, seconds = first_batch_cost(data, what, cache, batch_size, lanes, rate)
                print(f"| {what}, {words} | {sent:,.1f} | {seconds:.1f} |")
        sys.stdout.flush()


def first_batch_cost(
    data: Path, what: str, cache: Path, batch_size: int, lanes: int, rate: float
) -> tuple[float, float]:
    """MB that come before the first batch of ``training`` or ``evaluation`` from a server of ``rate`` MB/s, and seconds."""
    os.environ["IEBENCH_CACHE"] = str(cache)
    throttle = Throttle(rate * 1e6)
    with serving(data, throttle) as address:
        begin = time.perf_counter()
        _first_batch(what, dataset_folder(address), batch_size, lanes)
        return throttle.sent / 1e6, time.perf_counter() - begin


def _first_batch(what: str, folder: Path, batch_size: int, lanes: int) -> None:
    index = open_dataset(folder)
    if what == "training":
        stream = DrawStream(folder, index, "train", DrawSettings(batch_size, lanes=lanes))
        with draw_batches(stream, 0) as pairs:
            next(pairs)
    else:
        with view_batches(ViewStream(folder, index, "val", batch_size), 0) as batches:
            next(batches)


if __name__ == "__main__":
    main()
