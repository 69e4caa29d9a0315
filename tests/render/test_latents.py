"""Latents as a user gives them: ranges and tables."""

import csv
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.latents import parse_range, read_latents, with_ranges
from shards.errors import UsageError
from shards.lists import split_name
from shards.variants import VARIANTS

LATENTS = VARIANTS["3diebench"]
NAMES = [latent.name for latent in LATENTS]
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ROWS = [
    ("03797390/mug1", 0, [0.1, -0.2, 1 / 3, 0.5, 0.25, 6.0, 0.9]),
    ("03797390/mug1", 1, [math.pi / 7, 5e-324, -1e-17, 0.1 + 0.2, 0.0, -0.0, 1.0]),
    ("02876657/bottle0", 1, [1.0] * 7),
    ("02876657/bottle0", 0, [2.0] * 7),
]
"""Two objects of two views, in no particular order."""


def write_csv(path, rows=ROWS, header=("object", "view", *NAMES)):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *([name, view, *values] for name, view, values in rows)])
    return path


def write_npy(path, rows=ROWS, count=7):
    table = np.array(
        [(name, view, tuple(values)) for name, view, values in rows],
        dtype=[("object", "U64"), ("view", "i4"), ("latents", "f8", (count,))],
    )
    np.save(path, table)
    return path


WRITERS = {"csv": write_csv, "npy": write_npy}


@given(st.sampled_from(NAMES), st.lists(NUMBERS, min_size=2, max_size=6, unique=True))
def test_a_range_is_read_back_as_it_was_written(name, edges):
    edges = sorted(edges)[: len(edges) // 2 * 2]
    intervals = tuple(zip(edges[::2], edges[1::2], strict=True))
    text = f"{name}={','.join(f'{low!r}:{high!r}' for low, high in intervals)}"
    assert parse_range(text) == (name, intervals)


@pytest.mark.parametrize(
    ("text", "intervals"),
    [
        ("rotation_z=-pi:pi", ((-math.pi, math.pi),)),
        ("rotation_z=-pi:-pi/2,pi/2:pi", ((-math.pi, -math.pi / 2), (math.pi / 2, math.pi))),
        ("rotation_z = 0 : 3*pi/4", ((0.0, 3 * math.pi / 4),)),
        ("rotation_z=-(pi-1):+1e-1", ((1 - math.pi, 0.1),)),
    ],
)
def test_bounds_may_be_worked_out_with_pi(text, intervals):
    assert parse_range(text) == ("rotation_z", intervals)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rotation_z", "takes NAME=LOW:HIGH"),
        ("rotation_z=1", "takes NAME=LOW:HIGH"),
        ("rotation_z=1:2:3", "takes NAME=LOW:HIGH"),
        ("rotation_z=2:1", "from low to high"),
        ("rotation_z=1:1", "from low to high"),
        ("rotation_z=0:1,1:2", "do not touch"),
        ("rotation_z=0:2,1:3", "from low to high"),
        ("rotation_z=:1", "'' is no number"),
        ("rotation_z=a:1", "'a' is no number"),
        ("rotation_z=nan:1", "'nan' is no number"),
        ("rotation_z=1/0:1", "'1/0' is no number"),
        ("rotation_z=1e999:1", "'1e999' is no number"),
        ("rotation_z=9**9**9:1", "is no number"),
        ("rotation_z=__import__('os'):1", "is no number"),
    ],
)
def test_a_range_that_is_none_is_refused(text, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        parse_range(text)


def test_a_range_replaces_the_intervals_of_its_latent_only():
    latents = with_ranges(LATENTS, {"light_hue": ((0.2, 0.3),)})
    assert latents[6].intervals == ((0.2, 0.3),)
    assert latents[:6] == LATENTS[:6]
    with pytest.raises(UsageError, match="no latent 'scale' in this variant; it has: rotation_x, "):
        with_ranges(LATENTS, {"scale": ((0.0, 1.0),)})


@pytest.mark.parametrize("kind", WRITERS)
def test_a_table_is_read_exactly_in_any_order_of_rows(tmp_path, kind):
    table = read_latents(WRITERS[kind](tmp_path / f"latents.{kind}"), LATENTS)
    assert table.views == 2
    for name, view, values in ROWS:
        assert table.values[split_name(name)][view].tobytes() == np.array(values).tobytes()
    ranges = table.ranges(LATENTS)
    assert list(ranges) == NAMES
    assert ranges["rotation_y"] == ((-0.2, 2.0),)


def test_the_same_table_has_the_same_digest_in_either_format_and_another_one_another(tmp_path):
    one = read_latents(write_csv(tmp_path / "a.csv"), LATENTS)
    two = read_latents(write_npy(tmp_path / "b.npy", ROWS[::-1]), LATENTS)
    other = read_latents(
        write_csv(tmp_path / "c.csv", [(name, view, [*v[:6], 0.7]) for name, view, v in ROWS]), LATENTS
    )
    assert one.sha256 == two.sha256 != other.sha256


FIRST = ROWS[0]


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "holds no row"),
        ([FIRST, FIRST], "view 0 of 03797390/mug1 stands there twice"),
        ([*ROWS[:3]], "every object needs the same views 0 to 1; 02876657/bottle0 has 1"),
        ([("03797390/mug1", 1, FIRST[2])], "every object needs the same views 0 to 0; 03797390/mug1 has 1"),
        ([("mug1", 0, FIRST[2])], "'mug1' names no object; write synset/object"),
        ([("03797390/mug1", 0, [math.nan, *FIRST[2][1:]])], "has latents that are not finite"),
    ],
)
def test_a_table_that_breaks_a_rule_is_refused(tmp_path, kind, rows, said):
    path = WRITERS[kind](tmp_path / f"latents.{kind}", rows)
    with pytest.raises(UsageError, match=re.escape(said)):
        read_latents(path, LATENTS)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "object,view\n", "the first line should be object,view,rotation_x,"),
        ("a.csv", f"object,view,{','.join(NAMES)}\na/b,0,1\n", "line 2: 3 fields, not 9"),
        ("a.csv", f"object,view,{','.join(NAMES)}\na/b,0,x{',1' * 6}\n", "cannot be read: could not convert"),
        ("a.csv", f"object,view,{','.join(NAMES)}\na/b,first{',1' * 7}\n", "cannot be read: invalid literal"),
        ("a.npy", "no array", "cannot be read"),
        ("a.txt", "", "latents are read from .csv and .npy files"),
        ("missing.csv", None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content, said):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=re.escape(said)):
        read_latents(tmp_path / name, LATENTS)


def test_an_array_of_other_fields_is_refused(tmp_path):
    np.save(tmp_path / "plain.npy", np.zeros((3, 7)))
    for path in (tmp_path / "plain.npy", write_npy(tmp_path / "short.npy", [("a/b", 0, [1.0] * 6)], count=6)):
        with pytest.raises(UsageError, match=r"fields object, view and latents \(7 numbers\)"):
            read_latents(path, LATENTS)


def test_the_names_of_the_published_lists_are_understood():
    assert split_name("/03797390/mug1/") == split_name("03797390/mug1") == ("03797390", "mug1")
