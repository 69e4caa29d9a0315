"""What of a folder of models cannot be rendered."""

import pytest

from commands import call
from models import TRIANGLE, UNUSABLE, write_model
from render.check import why_unusable

SAID = {
    "garbage": "it holds no faces",
    "empty": "it holds no faces",
    "faceless": "it holds no faces",
    "infinite": "it holds coordinates that are not finite",
    "nan": "it holds coordinates that are not finite",
    "missing": "there is no model_normalized.obj",
    "huge": "it is 2e+30 m large; at most 10000 m can be rendered",
}


@pytest.fixture
def models(tmp_path):
    for kind, (content, _) in UNUSABLE.items():
        write_model(tmp_path / "03797390" / kind, content)
    for number in range(3):
        write_model(tmp_path / "02876657" / f"bottle{number}", TRIANGLE)
    return tmp_path


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_model_that_cannot_be_rendered_is_found_without_blender(tmp_path, kind):
    assert why_unusable(write_model(tmp_path, UNUSABLE[kind][0])) == SAID[kind]


def test_a_model_that_can_be_rendered_has_no_reason_against_it(golden_data, toy_models):
    paths = [*toy_models.rglob("*.obj"), *golden_data.rglob("*.obj")]
    assert len(paths) == 10
    assert {why_unusable(path) for path in paths} == {""}


def test_the_command_counts_classes_and_names_what_cannot_be_used(models):
    result = call("models", "check", models, "--workers", "2")
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert ["02876657", "bottle", "3"] in [line[:3] for line in lines]
    assert ["03797390", "mug", "7"] in [line[:3] for line in lines]
    assert "10 objects in 2 classes, 3 usable" in result.out
    for kind, reason in SAID.items():
        assert f"  03797390/{kind}: {reason}\n" in result.out


def test_the_command_fails_where_nothing_can_be_used(tmp_path):
    write_model(tmp_path / "03797390" / "mug", "")
    result = call("models", "check", tmp_path, "--workers", "1")
    assert result.code == 1
    assert result.error == f"none of the 1 objects in {tmp_path} can be used"
    assert "03797390/mug: it holds no faces" in result.out
