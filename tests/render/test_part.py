"""Shares of a dataset rendered by processes that know nothing of each other."""

import json
import os

import pytest

from commands import MANY_VIEWS, SMALL, call, ended, run, started
from models import TRIANGLE, write_model
from processes import wait_for_reader
from render.part import Part, parse_part
from shards.errors import UsageError
from toys import digests, digests_but_attempts


@pytest.fixture
def waiting(tmp_path):
    """A folder of models of which the first keeps whoever reads it waiting, and its path."""
    fifo = write_model(tmp_path / "models" / "02876657" / "bottle0", None)
    os.mkfifo(fifo)
    for number in range(1, 4):
        write_model(tmp_path / "models" / "02876657" / f"bottle{number}", TRIANGLE)
    return tmp_path / "models", fifo


@pytest.mark.blender
def test_parts_at_once_and_a_closing_run_give_the_bytes_of_a_run_without_parts(
    quiet_run, mixed_models, tmp_path
):
    out = tmp_path / "views"
    arguments = ("render", mixed_models, out, *MANY_VIEWS, "--workers", "1")
    with (
        started(*arguments, "--part", "1/2") as first,
        started(*arguments, "--part", "2/2") as second,
    ):
        results = [ended(first), ended(second)]
    for number, result in enumerate(results, 1):
        assert result.code == 0, result.err
        assert f"part {number}/2 of {out} is done: 2 shards" in result.out
    assert not (out / "dataset.json").exists() and (out / ".render").exists()
    failed = [path.read_text() for path in sorted((out / ".render" / "failures").iterdir())]
    assert sum(text.count("\n") for text in failed) == 2

    closing = run(*arguments)
    assert closing.code == 0, closing.err
    assert "nothing was rendered" in closing.out and "2 objects failed" in closing.out
    assert digests_but_attempts(out) == quiet_run
    assert not (out / ".render").exists()


@pytest.mark.blender
def test_a_closing_run_renders_what_the_parts_have_left(rendered_dataset, toy_models, tmp_path):
    out = tmp_path / "views"
    arguments = ("render", toy_models, out, *SMALL, "--workers", "1")
    assert call(*arguments, "--part", "2/3").code == 0
    again = call(*arguments, "--part", "2/3")
    assert again.code == 0 and "nothing was rendered" in again.out
    closing = call(*arguments)
    assert closing.code == 0 and "nothing was rendered" not in closing.out
    assert digests(out) == digests(rendered_dataset)


@pytest.mark.blender
def test_a_part_without_a_shard_says_so(toy_models, tmp_path):
    result = call("render", toy_models, tmp_path / "views", *SMALL, "--part", "9/9")
    assert result.code == 0
    assert result.out == "part 9/9 has nothing to do: the dataset has fewer shards than parts\n"


@pytest.mark.blender
def test_what_a_part_is_rendering_nobody_else_renders(waiting, tmp_path):
    models, fifo = waiting
    out = tmp_path / "views"
    arguments = ("render", models, out, *SMALL, "--workers", "1", "--objects-per-shard", "1")
    with started(*arguments, "--part", "1/2") as process, wait_for_reader(fifo, process):
        for other, said in {
            ("--part", "1/2"): f"another process is rendering part 1/2 of {out}",
            ("--part", "1/3"): f"{out} is being rendered in another number of parts",
            (): f"another process is rendering into {out}",
        }.items():
            refused = call(*arguments, *other)
            assert refused.code == 2
            assert refused.error == f"{said}; wait for it or choose another folder"
        other_seed = call(*arguments, "--part", "2/2", "--seed", "1")
        assert other_seed.code == 2 and "rendered with seed 0, not 1" in other_seed.error
        second = call(*arguments, "--part", "2/2")
        assert second.code == 0, second.err
    fifo.unlink()
    fifo.write_text(TRIANGLE)
    assert call(*arguments, "--part", "3/3").code == 0  # nobody is at work any more
    closing = call(*arguments)
    assert closing.code == 0 and json.loads((out / "dataset.json").read_text())


@pytest.mark.blender
def test_no_part_is_rendered_while_the_whole_is(waiting, tmp_path):
    models, fifo = waiting
    out = tmp_path / "views"
    arguments = ("render", models, out, *SMALL, "--workers", "1")
    with started(*arguments) as process, wait_for_reader(fifo, process):
        refused = call(*arguments, "--part", "1/2")
    assert refused.code == 2
    assert refused.error == f"another process is rendering all of {out}; wait for it or choose another folder"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("17/16", "there is no part 17/16: the parts of 16 are 1 to 16"),
        ("0/16", "there is no part 0/16: the parts of 16 are 1 to 16"),
        ("3/0", "'3/0' names no part: there is at least one"),
        ("3", "'3' names no part; write it as 3/16, the third of sixteen"),
        ("-1/4", "'-1/4' names no part; write it as 3/16, the third of sixteen"),
        ("a/b", "'a/b' names no part; write it as 3/16, the third of sixteen"),
    ],
)
def test_what_names_no_part_is_a_usage_error(toy_models, tmp_path, text, said):
    result = call("render", toy_models, tmp_path / "views", *SMALL, f"--part={text}")
    assert result.code == 2
    assert result.error == said
    assert not (tmp_path / "views").exists()
    with pytest.raises(UsageError):
        parse_part(text)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_every_shard_is_dealt_to_exactly_one_part(count):
    shards = tuple(range(10))
    dealt = [Part(number, count).shards(shards) for number in range(1, count + 1)]
    assert sorted(shard for part in dealt for shard in part) == list(shards)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
