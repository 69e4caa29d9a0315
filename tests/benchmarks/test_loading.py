"""The benchmarks of loading and training, at toy size."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from warm_start import run_warm

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


def output_of(script: str, *arguments: object) -> str:
    """What a benchmark prints."""
    command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
    result = run_warm(command)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


@pytest.fixture
def output_here(run_here: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a benchmark prints that runs in this process."""

    def output(module: str, *arguments: object) -> str:
        main = importlib.import_module(module).main
        run_here(lambda: main(standalone_mode=False), *arguments)
        return capsys.readouterr().out

    return output


@pytest.mark.slow
def test_loaders_are_compared_in_one_table():
    small = ("--objects", 12, "--views", 4, "--rounds", 1, "--images", 24, "--batch-size", 4)
    text = output_of("load_speed.py", *small)
    assert text.count("| pair stream") == 3
    assert "| stream of pictures |" in text and "`ImageFolder`, Pillow" in text
    assert "bare `torchvision.io.decode_jpeg`" in text and "Two workers against one" in text


@pytest.mark.slow
def test_the_memory_of_workers_is_told_for_every_pass(output_here: Callable[..., str]):
    text = output_here("load_memory", "--objects", 12, "--views", 4, "--passes", 3, "--batch-size", 4)
    assert [line.split()[1] for line in text.splitlines()[2:]] == ["1", "2", "3"]


@pytest.mark.slow
def test_a_step_fed_by_the_stream_is_compared_with_one_on_tensors_in_memory(
    toy_dataset: Path, output_here: Callable[..., str]
):
    small = ("--rounds", 1, "--steps", 1, "--threads", 1, "--set", "training.batch_size=4")
    text = output_here("train_speed", "--data", toy_dataset, *small)
    assert "from the stream" in text and "random tensors in memory" in text
