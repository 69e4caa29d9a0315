"""What of a folder of models cannot be rendered."""

import re

import pytest

from commands import call
from models import TRIANGLE, UNUSABLE, as_object, write_model
from render.catalog import scan_models
from render.check import why_unusable


@pytest.fixture
def models(tmp_path):
    for kind, (content, _) in UNUSABLE.items():
        write_model(tmp_path / "03797390" / kind, content)
    for number in range(3):
        write_model(tmp_path / "02876657" / f"bottle{number}", TRIANGLE)
    return tmp_path


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_model_that_cannot_be_rendered_is_found_without_blender(tmp_path, kind):
    content, reason = UNUSABLE[kind]
    assert re.match(reason, why_unusable(as_object(write_model(tmp_path, content))))


def test_a_model_that_can_be_rendered_has_no_reason_against_it(golden_data, toy_models):
    objects = [*scan_models(toy_models), *scan_models(golden_data / "models")]
    assert len(objects) == 8 + len(list((golden_data / "models").glob("*/*")))
    assert {why_unusable(item) for item in objects} == {""}


def test_the_command_counts_classes_and_names_what_cannot_be_used(models):
    result = call("models", "check", models, "--workers", "2")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["02876657", "bottle", "3"] in [line[:3] for line in lines]
    assert ["03797390", "mug", "7"] in [line[:3] for line in lines]
    assert "10 objects in 2 classes, 3 usable" in result.out
    for kind, (_, reason) in UNUSABLE.items():
        assert re.search(f"  03797390/{kind}: {reason}", result.out)


def test_the_command_fails_where_nothing_can_be_used(tmp_path):
    write_model(tmp_path / "03797390" / "mug", "")
    result = call("models", "check", tmp_path, "--workers", "1")
    assert result.code == 1
    assert result.error == f"none of the 1 objects in {tmp_path} can be used"
    assert "03797390/mug: it holds no faces" in result.out
