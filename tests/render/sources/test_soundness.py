"""Coordinates beyond single precision, which Blender would take for zero without a word."""

import pytest

from render.model_errors import ModelError
from render.sources.soundness import require_sound


@pytest.mark.parametrize(
    "number", ["3.41e38", "-9.99E+38", "1e39", "34028236e32", "nan", "-Infinity", "1" + 39 * "0", "1e400"]
)
def test_a_vertex_that_single_precision_cannot_hold_costs_its_object(tmp_path, number):
    path = tmp_path / "m.obj"
    path.write_text(f"v 0 0 0\n v\t0 {number} 0\nv 0 0 1\nf 1 2 3\n")
    with pytest.raises(ModelError, match="it holds coordinates that are not finite"):
        require_sound(path)


@pytest.mark.parametrize(
    "line", ["v 3.4e38 1e-39 0", "v 0 1e30 0 # 9e99", "vt 1e39 0", "# v nan 0 0", "v 1e-300 0 0", "o v nan"]
)
def test_what_single_precision_holds_or_no_vertex_says_is_let_through(tmp_path, line):
    path = tmp_path / "m.obj"
    path.write_text(f"{line}\nv 0 0 0\nv 1 0 0\nv 0 0 1\nf -1 -2 -3\n")
    require_sound(path)
