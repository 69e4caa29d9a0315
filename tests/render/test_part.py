"""Shares of a dataset rendered by processes that know nothing of each other."""

import json

import pytest

from commands import SMALL, Result, call, ended, started
from render.claims import ShardClaims
from render.part import Part, parse_part
from shards.errors import UsageError
from toys import digests


@pytest.mark.blender
def test_parts_at_once_and_a_closing_run_give_the_bytes_of_a_run_without_parts(
    rendered_dataset, toy_models, tmp_path
):
    out = tmp_path / "views"
    arguments = ("render", toy_models, out, *SMALL, "--workers", "1")
    with started(*arguments, "--part", "1/2") as first, started(*arguments, "--part", "2/2") as second:
        results = [ended(first), ended(second)]
    for number, result in enumerate(results, 1):
        assert result.code == 0, result.err
        assert f"part {number}/2 of {out} is done: " in result.out or "found nothing to do" in result.out
    assert not (out / "dataset.json").exists() and (out / ".render").exists()

    closing = call(*arguments)
    assert closing.code == 0, closing.err
    assert "nothing was rendered" in closing.out
    assert digests(out) == digests(rendered_dataset)
    assert not (out / ".render").exists()


def test_a_closing_run_renders_what_the_parts_have_left(painted, toy_models, tmp_path):
    engine, out, whole = painted(), tmp_path / "views", tmp_path / "whole"
    claims = out / ".render" / "claims"
    claims.mkdir(parents=True)
    arguments = ("render", toy_models, out, *SMALL, "--workers", "1")
    other = ShardClaims(claims)
    assert other.take("train-000000.tar")
    assert call(*arguments, "--part", "2/3").code == 0
    again = call(*arguments, "--part", "2/3")
    assert again.code == 0 and "part 2/3 found nothing to do" in again.out
    other.release_all()
    closing = call(*arguments)
    assert closing.code == 0 and "nothing was rendered" not in closing.out
    assert len(engine.tried) == len(set(engine.tried)) == 8
    assert call("render", toy_models, whole, *SMALL).code == 0
    assert digests(out) == digests(whole)


def test_a_dataset_under_way_in_parts_is_of_one_plan_and_nobody_renders_it_alone(
    painted, toy_models, tmp_path
):
    out = tmp_path / "views"
    arguments = ("render", toy_models, out, *SMALL, "--workers", "1", "--objects-per-shard", "1")
    others: list[Result] = []

    def others_come(name, attempt):
        if not others:
            others.append(call(*arguments))
            others.append(call(*arguments, "--part", "2/2", "--seed", "1"))
            others.extend(call(*arguments, "--part", part) for part in ("2/2", "1/2", "3/3"))

    painted(others_come)
    assert call(*arguments, "--part", "1/2").code == 0
    alone, other_seed, *parts = others
    assert alone.code == 2
    assert alone.error == f"another process is rendering into {out}; wait for it or choose another folder"
    assert other_seed.code == 2 and "rendered with seed 0, not 1" in other_seed.error
    assert [result.code for result in parts] == [0, 0, 0]
    closing = call(*arguments)
    assert closing.code == 0 and "nothing was rendered" in closing.out
    assert json.loads((out / "dataset.json").read_text())


def test_no_part_is_rendered_while_the_whole_is(painted, toy_models, tmp_path):
    out, refused = tmp_path / "views", []
    arguments = ("render", toy_models, out, *SMALL, "--workers", "1")
    painted(lambda name, attempt: refused.append(call(*arguments, "--part", "1/2")))
    assert call(*arguments).code == 0
    said = f"another process is rendering all of {out}; wait for it or choose another folder"
    assert {(result.code, result.error) for result in refused} == {(2, said)}


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
def test_parts_begin_apart_and_each_shard_is_checked_by_exactly_one_of_them(count):
    shards = tuple(range(10))
    parts = [Part(number, count) for number in range(1, count + 1)]
    assert sorted(shard for part in parts for shard in part.to_check(shards)) == list(shards)
    assert all(sorted(part.in_turn(shards)) == list(shards) for part in parts)
    assert len({part.in_turn(shards)[0] for part in parts}) == min(count, len(shards))
