"""All that wants measuring on one GPU, in nine minutes at most.

    python benchmarks/gpu.py --out runs/gpu          # or: make gpu
    python benchmarks/gpu.py --out runs/gpu --toy    # on the CPU, to see that it works

It needs neither Blender nor a dataset: SIE's step at the published sizes (1024 pairs of 256 px) is fed with random
pixels in memory, in the published arrangement and in ours, each in a process of its own (``gpu_step.py``). Then
``iebench train`` is stopped and resumed on shards of 64 px, ended by errors, and the tests that need a GPU are run.
What fails or takes too long is said and costs only itself. OUT gets ``gpu.json`` and ``gpu.md``, which are written
anew after each piece, so that they hold what was measured if this is stopped.
"""

import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

from gpu_step import ARRANGEMENTS
from iebench.training.machine import commit_of
from iebench.training.metrics_log import read_metrics
from load_speed import packed_views
from shards.errors import UsageError
from shards.schema import open_dataset

ROOT = Path(__file__).parents[1]
PUBLISHED_IMAGES = 168_000_000
"""2,000 epochs of a pair of views of each of 42,000 objects (SIE, arXiv 2302.10283)."""
FIRST_ROWS = 4
"""Rows that are measured before everything else; the other rows come last, with the time that is left."""
LEAST = 5.0
"""Seconds under which nothing is begun."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is: the measured step, and the training that is stopped and resumed; batches are of pairs.

    ``seconds`` are those for which a warm step is measured. The dataset has 12 views of each of ``objects``.
    ``overrides`` are fields of the recipe, ``patience`` is a factor of the time that each piece has.
    """

    batch_size: int = 1024
    image_size: int = 256
    seconds: float = 6.0
    objects: int = 600
    train_batch: int = 256
    train_steps: int = 300
    overrides: tuple[str, ...] = ()
    patience: float = 1.0


TOY = Sizes(4, 32, 0.0, 24, 4, 12, ("method.projector=[64, 32]",), patience=4.0)


@dataclass(frozen=True)
class Ended:
    """How a command ended; without a code, it had run out of its time."""

    code: int | None
    out: str
    err: str
    seconds: float

    @property
    def reason(self) -> str | None:
        """Why it failed, in a line; None if it did not."""
        if self.code is None:
            return f"ended after {self.seconds:.0f} s, which is all the time it had"
        if self.code == 0:
            return None
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return (lines[-1] if lines else f"exit code {self.code}")[:300]

    @property
    def is_one_sentence(self) -> bool:
        """Whether it failed with one sentence and no traceback."""
        return self.code not in (None, 0) and "Traceback" not in self.err and self.err.count("Error: ") == 1


class Budget:
    """The seconds there are for everything, and the factor of what each piece wants."""

    def __init__(self, seconds: float, patience: float = 1.0) -> None:
        self._end = time.monotonic() + seconds
        self._patience = patience

    def share(self, wanted: float) -> float:
        """The seconds that a piece may take: those it wants, or what is left."""
        return max(0.0, min(self._patience * wanted, self._end - time.monotonic()))


def run_bounded(
    command: Sequence[str], seconds: float, meanwhile: Callable[[subprocess.Popen[str]], None] | None = None
) -> Ended:
    """Runs a command from the repository's root and kills it, with all that it started, when its time is up.

    ``meanwhile`` is called once with the started process.
    """
    if seconds < LEAST:
        return Ended(1, "", "no time was left for it", 0.0)
    begin = time.monotonic()
    process = subprocess.Popen(
        [*map(str, command)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        if meanwhile:
            meanwhile(process)
        out, err = process.communicate(timeout=max(0.0, begin + seconds - time.monotonic()))
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        code = None
    return Ended(code, out, err, time.monotonic() - begin)


def measure_arrangement(name: str, sizes: Sizes, device: str, seconds: float) -> dict[str, Any]:
    """What ``gpu_step.py`` prints, or why it did not."""
    command = [sys.executable, "benchmarks/gpu_step.py", name, "--device", device]
    command += ["--batch-size", str(sizes.batch_size), "--size", str(sizes.image_size)]
    command += ["--seconds", str(sizes.seconds), *set_options(sizes.overrides)]
    ended = run_bounded(command, seconds)
    if ended.reason:
        return {"reason": ended.reason, "seconds": ended.seconds}
    return {**json.loads(ended.out.splitlines()[-1]), "seconds": ended.seconds}


def epochs_of(data: Path, sizes: Sizes) -> int:
    """The epochs of a sound dataset that make up the steps of a training."""
    return -(-sizes.train_steps * sizes.train_batch // open_dataset(data).split("train").objects)


def train_command(data: Path, epochs: int, out: Path, sizes: Sizes, device: str, *more: str) -> list[str]:
    """A training on a dataset, logged often enough to be stopped in the middle."""
    fields = (
        f"training.batch_size={sizes.train_batch}",
        f"training.epochs={epochs}",
        f"training.log_every={max(1, sizes.train_steps // 30)}",
        *sizes.overrides,
        *more,
    )
    start = [sys.executable, "-m", "iebench", "train", "sie", "--data", str(data), "--out", str(out)]
    return [*start, "--device", device, *set_options(fields)]


def stop_and_resume(data: Path, out: Path, sizes: Sizes, device: str, budget: Budget) -> dict[str, Any]:
    """Stops a training by SIGTERM, resumes it by ``--resume RUN`` alone, and looks at what it logged."""
    metrics = out / "metrics.jsonl"

    def stop(process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + budget.share(60)
        while time.monotonic() < end and process.poll() is None and len(read_metrics(metrics)) < 4:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)

    stopped = run_bounded(
        train_command(data, epochs_of(data, sizes), out, sizes, device), budget.share(75), stop
    )
    if stopped.code != 130:
        return {"reason": f"SIGTERM should have ended it with 130: {stopped.reason or 'it had ended before'}"}
    before = [record["step"] for record in read_metrics(metrics)]
    resume = [sys.executable, "-m", "iebench", "train", "--resume", str(out), "--device", device]
    resumed = run_bounded(resume, budget.share(75))
    if resumed.reason:
        return {"reason": f"the resumption failed: {resumed.reason}"}
    records = read_metrics(metrics)
    steps = [record["step"] for record in records]
    if steps != sorted(set(steps)) or steps[: len(before)] != before or steps[-1] <= before[-1]:
        return {"reason": f"the curve has gaps or steps twice: {steps}"}
    settled = [record for record in records if record["step"] > before[-1]][1:]
    found = {
        key: statistics.median(record[key] for record in settled)
        for key in ("images_per_second", "data_wait", "peak_memory_gib")
        if settled and key in settled[0]
    }
    machine = json.loads((out / "config.json").read_text(encoding="utf-8"))["machine"]
    return {"stopped_at": before[-1], "ended_at": steps[-1], **found, "machine": machine}


def end_on_errors(data: Path, out: Path, sizes: Sizes, device: str, budget: Budget) -> list[dict[str, Any]]:
    """Trainings that must end soon, with one sentence: one diverges, one has a shard cut short, one is too large."""
    damaged, epochs = out / "damaged", epochs_of(data, sizes)
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(data, damaged)
    for shard in open_dataset(damaged).split("train").shards:
        os.truncate(damaged / shard.name, (damaged / shard.name).stat().st_size // 2 + 7)
    cases = {
        "a learning rate of 1e30": (data, ["optimizer.lr=1e30", "training.log_every=1"]),
        "shards cut short": (damaged, []),
    }
    if device.startswith("cuda"):
        too_large = ["training.batch_size=32768", "backbone.name=sie_resnet50"]
        cases["a batch too large for the GPU"] = (data, too_large)
    found = []
    for number, (what, (folder, fields)) in enumerate(cases.items()):
        run = out / f"error-{number}"
        shutil.rmtree(run, ignore_errors=True)
        ended = run_bounded(train_command(folder, epochs, run, sizes, device, *fields), budget.share(45))
        found.append(
            {
                "what": what,
                "one_sentence": ended.is_one_sentence,
                "seconds": ended.seconds,
                "said": ended.reason or "nothing",
            }
        )
    return found


def run_tests(tests: str, seconds: float) -> dict[str, Any]:
    """How many of the tests that need a GPU pass."""
    ours = ["-o", "addopts=", "-q", "-rs"]  # a second -q beside the project's own would leave out the counts
    ended = run_bounded([sys.executable, "-m", "pytest", *ours, "-m", "gpu", tests], seconds)
    counts = {
        word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", ended.out)
    }
    failed = re.findall(r"^FAILED (\S+)", ended.out, flags=re.MULTILINE)
    reason = None if ended.code == 0 else ended.reason
    return {"counts": counts, "failed": failed, "reason": reason, "seconds": ended.seconds}


def steering_speed(toy: bool, device: str, seconds: float) -> dict[str, Any]:
    """The table of ``steering_speed.py``: many encodings against one encoding and as many steps."""
    views, batch = (2, 1) if toy else (64, 32)
    script = [sys.executable, str(ROOT / "benchmarks" / "steering_speed.py"), "--device", device]
    ended = run_bounded([*script, "--views", str(views), "--batch", str(batch)], seconds)
    return {"table": ended.out.strip()} if ended.code == 0 else {"reason": ended.reason}


def small_dataset(folder: Path, objects: int) -> Path:
    """A dataset of 64 px, whose JPEGs are those of tests/data made smaller."""
    if not (folder / "views" / "dataset.json").is_file():
        shutil.rmtree(folder / "published", ignore_errors=True)
        packed_views(folder, objects, 12, 64, objects_per_shard=max(4, objects // 12))
        shutil.rmtree(folder / "published")
    return folder / "views"


def set_options(fields: Sequence[str]) -> list[str]:
    """The fields as ``--set`` takes them."""
    return [word for field in fields for word in ("--set", field)]


def as_markdown(found: dict[str, Any]) -> str:
    """The page of all that was measured."""
    rows = found["rows"]
    base = rows.get("as published", {}).get("images_per_second")
    lines = [
        f"{found['device']}, torch {found['torch']}, Python {found['python']}, iebench {found['commit']}",
        "",
        f"SIE, {found['batch_size']} pairs of {found['image_size']} px, random pixels in memory:",
        "",
        "| arrangement | computed in | images/s | times published | peak memory, GiB | 168 million images, h | first step, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if "reason" in row:
            lines.append(f"| {name} | not measured: {row['reason']} | | | | | |")
            continue
        rate, peak = row["images_per_second"], row["peak_memory_gib"]
        lines.append(
            f"| {name} | {row['precision']} | {rate:,.0f} | {f'{rate / base:.2f}' if base else ''} | "
            f"{'' if peak is None else f'{peak:.1f}'} | {PUBLISHED_IMAGES / rate / 3600:.1f} | "
            f"{row['first_step_seconds']:.1f} |"
        )
    if training := found.get("training"):
        lines += ["", f"Stopped and resumed, 64 px from shards: {_training_line(training)}"]
    for error in found.get("errors", []):
        ending = "one sentence" if error["one_sentence"] else "NOT one sentence"
        lines.append(f"\nEnded by {error['what']} after {error['seconds']:.0f} s, {ending}: {error['said']}")
    if steering := found.get("steering"):
        lines += ["", steering.get("table") or f"Steering: not measured: {steering['reason']}"]
    if tests := found.get("tests"):
        counts = ", ".join(f"{number} {word}" for word, number in tests["counts"].items()) or "none"
        lines += [
            "",
            f"Tests with a GPU: {counts}. {tests['reason'] or ''} {' '.join(tests['failed'])}".rstrip(),
        ]
    return "\n".join([*lines, "", f"All of it took {found['seconds']:.0f} s."]) + "\n"


def _training_line(training: dict[str, Any]) -> str:
    if "reason" in training:
        return f"failed: {training['reason']}"
    memory = f", {training['peak_memory_gib']:.1f} GiB" if "peak_memory_gib" in training else ""
    return (
        f"stopped after step {training['stopped_at']}, ended at {training['ended_at']}; "
        f"{training['images_per_second']:,.0f} images/s, of whose time {training['data_wait']:.1%} went to waiting for "
        f"data{memory} ({training['machine']['workers']} workers, {training['machine']['precision']})"
    )


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of results."
)
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True), help="Dataset of 64 px. [default: made]"
)
@click.option("--minutes", default=9.0, show_default=True, help="Time for all of it.")
@click.option("--rows", multiple=True, type=click.Choice(list(ARRANGEMENTS)), help="[default: all]")
@click.option("--tests", default="tests/iebench", show_default=True, help="Where tests are looked for.")
@click.option("--toy", is_flag=True, help="On the CPU, at sizes that say nothing.")
def main(out: Path, data: Path | None, minutes: float, rows: tuple[str, ...], tests: str, toy: bool) -> None:
    """Measures and prints Markdown."""
    begin, sizes = time.monotonic(), TOY if toy else Sizes()
    budget = Budget(60 * minutes - 2, sizes.patience)
    if not (toy or torch.cuda.is_available()):
        raise click.ClickException(
            "PyTorch sees no GPU here (`iebench doctor` says why); --toy runs on the CPU"
        )
    device = "cpu" if toy else "cuda"
    out.mkdir(parents=True, exist_ok=True)
    out = out.resolve()
    found: dict[str, Any] = {
        "device": platform.machine() if toy else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit_of(ROOT),
        "batch_size": sizes.batch_size,
        "image_size": sizes.image_size,
        "rows": {},
    }

    def keep(**pieces: Any) -> None:
        found.update(pieces, seconds=time.monotonic() - begin)
        (out / "gpu.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        (out / "gpu.md").write_text(as_markdown(found), encoding="utf-8")

    def measure(names: Sequence[str]) -> None:
        for name in names:
            wanted = 90.0 if ARRANGEMENTS[name].compiled else 40.0
            found["rows"][name] = measure_arrangement(name, sizes, device, budget.share(wanted))
            click.echo(f"{name}: {found['rows'][name]}", err=True)
            keep()

    names = list(rows or ARRANGEMENTS)
    measure(names[:FIRST_ROWS])
    try:
        data = data or small_dataset(out, sizes.objects)
        shutil.rmtree(out / "run", ignore_errors=True)
        keep(training=stop_and_resume(data.resolve(), out / "run", sizes, device, budget))
        keep(errors=end_on_errors(data.resolve(), out, sizes, device, budget))
    except (UsageError, OSError) as error:
        keep(training={"reason": str(error)})
    keep(steering=steering_speed(toy, device, budget.share(60)))
    keep(tests=run_tests(tests, budget.share(150)))
    measure(names[FIRST_ROWS:])
    click.echo((out / "gpu.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
