"""Processes that share the shards of a dataset: each claims the next that nobody has, and a lost one harms nothing."""

import errno
import json
import os
import threading
from itertools import chain
from pathlib import Path

import pytest
from pebble import ProcessExpired

from models import TRIANGLE, write_model
from render import sealing
from render.catalog import scan_models
from render.claims import ShardClaims
from render.dataset import render_dataset
from render.executor import Execution
from render.model_errors import ModelError
from render.part import Part
from render.plan import PlanSettings, make_plan
from render.settings import RenderSettings
from shards.schema import open_dataset
from shards.verify import verify_dataset
from silence import Silence
from toys import SIZE, digests

OBJECTS = 12
SETTINGS = PlanSettings(views=2, objects_per_shard=2, render=RenderSettings(image_size=SIZE))


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for number in range(OBJECTS):
        write_model(folder / "02876657" / f"bottle{number:02d}", TRIANGLE)
    return make_plan(scan_models(folder), SETTINGS)


@pytest.fixture
def paint(plan, painted):
    """Renders with workers that paint; gives the summary and the names that were tried, in order."""

    def run(
        out: Path, part: str | None = None, end=lambda name, attempt: None, kind="cpu", plan=plan, **options
    ):
        engine = painted(end, kind)
        mixed = Execution(mix_devices=options.pop("mix", False))
        share = part and Part(*map(int, part.split("/")))
        return render_dataset(plan, out, mixed, Silence(), share, **options), engine.tried

    return run


@pytest.fixture
def whole(paint, tmp_path_factory):
    """The dataset of one process."""
    out = tmp_path_factory.mktemp("whole") / "views"
    paint(out)
    return out


def names(shard):
    return [item.object_id for item in shard.objects]


def test_painted_views_are_a_dataset_by_the_dataset_format(whole):
    assert list(verify_dataset(whole, open_dataset(whole))) == []


def test_parts_take_what_nobody_has_claimed_and_give_the_bytes_of_one_process(paint, plan, whole, tmp_path):
    out = tmp_path / "views"
    begun = []

    def second_begins(name, attempt):
        if not begun:
            begun.append(name)
            begun.append(paint(out, "2/2"))

    first, tried = paint(out, "1/2", second_begins)
    second, others = begun[1]
    assert sorted(tried + others) == sorted(item.object_id for item in plan.objects)
    assert first.shards == 1 and second.shards == len(plan.shards) - 1
    closing, again = paint(out)
    assert again == [] and closing.index is not None
    assert digests(out) == digests(whole)


def test_a_shard_whose_part_died_is_claimed_by_another_and_what_it_finished_stays(
    paint, plan, whole, tmp_path
):
    out = tmp_path / "views"
    lost = names(plan.shards[0])

    def die(name, attempt):
        if name == lost[1]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(out, "1/3", die)
    summary, tried = paint(out, "2/3")
    assert lost[0] not in tried and lost[1] in tried
    assert summary.shards == len(plan.shards)
    paint(out)
    assert digests(out) == digests(whole)


def test_a_shard_that_is_given_back_late_is_still_rendered_by_who_looks_again(paint, plan, tmp_path):
    out = tmp_path / "views"
    (out / ".render" / "claims").mkdir(parents=True)
    other = ShardClaims(out / ".render" / "claims")
    assert other.take(plan.shards[0].name)

    def lose(name, attempt):
        if name == names(plan.shards[-1])[0]:
            other.release_all()

    summary, tried = paint(out, "1/1", lose)
    assert tried[-2:] == names(plan.shards[0]) and summary.shards == len(plan.shards)


def test_what_failed_in_a_part_is_not_tried_by_others_and_told_once(paint, plan, tmp_path):
    out, bad = tmp_path / "views", names(plan.shards[0])[1]
    bad_model = lambda name, attempt: ModelError("it holds no faces") if name == bad else None  # noqa: E731
    first, _ = paint(out, "1/2", bad_model)
    assert [failure.object for failure in first.failures] == [bad]
    second, tried = paint(out, "2/2")
    assert (tried, second.failures, second.shards) == ([], (), 0)
    closing, tried = paint(out)
    assert tried == [] and [failure.object for failure in closing.failures] == [bad]
    assert json.loads((out / "failures.jsonl").read_text())["reason"] == "it holds no faces"


def test_an_object_that_is_tried_again_costs_that_object_and_not_its_shard(paint, plan, whole, tmp_path):
    out, bad = tmp_path / "views", names(plan.shards[0])[0]
    paint(out, end=lambda name, attempt: ModelError("no") if name == bad else None)
    (out / "failures.jsonl").unlink()
    for part in ("1/1", None):
        _, tried = paint(out, part)
        assert tried == ([bad] if part else [])
    assert digests(out) == digests(whole)


def test_each_shard_says_what_rendered_it_also_after_it_was_mended(paint, plan, tmp_path):
    out, bad = tmp_path / "views", names(plan.shards[0])[0]
    paint(out, end=lambda name, attempt: ModelError("no") if name == bad else None, kind="optix")
    (out / "failures.jsonl").unlink()
    summary, tried = paint(out, kind="cpu", mix=True)
    assert tried == [bad]
    shards = [shard for split in summary.index.splits.values() for shard in split.shards]
    assert {shard.name: shard.devices for shard in shards} == {
        shard.name: ("cpu", "optix") if shard == plan.shards[0] else ("optix",) for shard in plan.shards
    }
    assert summary.index.renderer["devices"] == ["cpu", "optix"]


@pytest.mark.processes
def test_parts_find_damage_in_a_share_each_and_mend_it(paint, plan, whole, tmp_path):
    paint(tmp_path / "views")
    out = tmp_path / "views"
    for shard in plan.shards[:2]:
        data = bytearray((out / shard.name).read_bytes())
        data[len(data) // 4] ^= 16
        (out / shard.name).write_bytes(data)
    tried = [paint(out, part, repair=True)[1] for part in ("1/2", "2/2")]
    assert [len(objects) for objects in tried] == [1, 1]
    paint(out)
    assert digests(out) == digests(whole)


def test_workers_go_on_while_shards_are_being_sealed(paint, plan, monkeypatch, tmp_path):
    last, join_shard = threading.Event(), sealing.join_shard
    tried_last = names(plan.shards[-1])[-1]

    def slow(*arguments):
        assert last.wait(60), "no job was dealt while a shard was being sealed"
        return join_shard(*arguments)

    monkeypatch.setattr(sealing, "join_shard", slow)
    _, tried = paint(tmp_path / "views", end=lambda name, _: last.set() if name == tried_last else None)
    assert tried[-1] == tried_last


def test_a_shard_that_cannot_be_sealed_stops_the_run(paint, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sealing, "join_shard", full)
    with pytest.raises(OSError, match="No space left"):
        paint(tmp_path / "views")


def test_an_object_whose_worker_is_killed_keeps_only_its_own_shard_waiting(paint, plan, tmp_path):
    out, killed = tmp_path / "views", names(plan.shards[0])[0]
    ended = lambda name, attempt: ProcessExpired("", code=-9) if name == killed and attempt < 3 else None  # noqa: E731
    summary, tried = paint(out, "1/1", ended)
    assert tried.count(killed) == 3 and tried[-1] == killed and not summary.failures


@pytest.mark.processes
@pytest.mark.parametrize("parts", [("1/2", "2/2"), (None,)])
def test_objects_are_added_to_a_whole_dataset_and_only_those_rendered(paint, plan, whole, tmp_path, parts):
    out = tmp_path / "views"
    added = {names(plan.shards[0])[1], names(plan.shards[-1])[0]}
    fewer = [item for item in plan.objects if item.object_id not in added]
    paint(out, plan=make_plan(fewer, SETTINGS), kind="optix")
    tried = [paint(out, part, kind="cpu", mix=True, add=True)[1] for part in parts]
    assert sorted(chain(*tried)) == sorted(added)
    closing, again = paint(out, kind="cpu", mix=True, add=True)
    assert again == []
    there, expected = digests(out), digests(whole)
    assert {shard.name: there[shard.name] for shard in plan.shards} == {
        shard.name: expected[shard.name] for shard in plan.shards
    }
    infos = {info.name: info.devices for split in closing.index.splits.values() for info in split.shards}
    assert infos[plan.shards[0].name] == ("cpu", "optix")
    assert {device for devices in infos.values() for device in devices} == {"cpu", "optix"}
