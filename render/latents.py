"""Latents as a user gives them: other ranges to draw from, or the very values of every view."""

import ast
import csv
import hashlib
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shards.errors import UsageError
from shards.lists import Name, split_name
from shards.variants import Latent

Intervals = tuple[tuple[float, float], ...]

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
}


@dataclass(frozen=True)
class ExplicitLatents:
    """The latents of every view of some objects.

    Attributes:
        values: Array (views, latents) of float64 by (synset, object); all objects have as many views.
        sha256: SHA-256 of names and values, in order of the names.
    """

    values: Mapping[Name, np.ndarray]
    sha256: str

    @property
    def views(self) -> int:
        return len(next(iter(self.values.values())))

    def ranges(self, latents: Sequence[Latent]) -> dict[str, Intervals]:
        """The interval that each latent's values span, by the latent's name."""
        stacked = np.concatenate(list(self.values.values()))
        low, high = stacked.min(axis=0).tolist(), stacked.max(axis=0).tolist()
        return {latent.name: ((low[i], high[i]),) for i, latent in enumerate(latents)}


def parse_range(text: str) -> tuple[str, Intervals]:
    """Reads ``name=low:high``, or several intervals with commas: ``rotation_z=-pi:-pi/2,pi/2:pi``.

    Raises:
        UsageError: It is written otherwise, or an interval is empty or overlaps the one before.
    """
    name, equals, intervals = text.partition("=")
    parts = [part.split(":") for part in intervals.split(",")]
    if not equals or any(len(part) != 2 for part in parts):
        raise UsageError(f"--range takes NAME=LOW:HIGH, such as rotation_z=-pi:pi, not {text!r}")
    bounds = tuple((_number(low), _number(high)) for low, high in parts)
    edges = [edge for interval in bounds for edge in interval]
    if edges != sorted(edges) or len(set(edges)) != len(edges):
        raise UsageError(f"--range {text}: intervals go from low to high and do not touch")
    return name.strip(), bounds


def with_ranges(latents: Sequence[Latent], ranges: Mapping[str, Intervals]) -> tuple[Latent, ...]:
    """The latents with other intervals for those named in ``ranges``.

    Raises:
        UsageError: There is no latent of such a name.
    """
    names = [latent.name for latent in latents]
    for name in ranges:
        if name not in names:
            raise UsageError(f"there is no latent {name!r} in this variant; it has: {', '.join(names)}")
    return tuple(
        latent.model_copy(update={"intervals": ranges.get(latent.name, latent.intervals)})
        for latent in latents
    )


def read_latents(path: Path, latents: Sequence[Latent]) -> ExplicitLatents:
    """Reads the latents of every view from a table of rows ``object, view, latents``.

    Args:
        path: A ``.csv`` with a header ``object,view,rotation_x,...``, or a ``.npy`` with a structured array
            of fields ``object`` (text), ``view`` (integer) and ``latents`` (float, one per latent); objects
            are written ``synset/object``.
        latents: Latents of the dataset's variant, in order.

    Raises:
        UsageError: The file cannot be read or is written otherwise, or the views of an object are not
            0, 1, 2, ... as many as every other object's.
    """
    reader = {".csv": _csv_rows, ".npy": _npy_rows}.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: latents are read from .csv and .npy files")
    table: dict[Name, dict[int, tuple[float, ...]]] = {}
    try:
        for name, view, values in reader(path, [latent.name for latent in latents]):
            if view in table.setdefault(name, {}):
                raise UsageError(f"{path}: view {view} of {'/'.join(name)} stands there twice")
            if not all(map(math.isfinite, values)):
                raise UsageError(f"{path}: view {view} of {'/'.join(name)} has latents that are not finite")
            table[name][view] = values
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    if not table:
        raise UsageError(f"{path} holds no row")
    views = len(next(iter(table.values())))
    for name, rows in table.items():
        if sorted(rows) != list(range(views)):
            raise UsageError(
                f"{path}: every object needs the same views 0 to {views - 1}; {'/'.join(name)} has "
                f"{', '.join(map(str, sorted(rows)))}"
            )
    arrays = {name: np.array([table[name][view] for view in range(views)]) for name in sorted(table)}
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{'/'.join(name)}\n".encode())
        digest.update(array.astype("<f8").tobytes())
    return ExplicitLatents(arrays, digest.hexdigest())


def _csv_rows(path: Path, names: list[str]) -> Iterator[tuple[Name, int, tuple[float, ...]]]:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.reader(stream)
        header, expected = next(rows, []), ["object", "view", *names]
        if header != expected:
            raise UsageError(f"{path}: the first line should be {','.join(expected)}")
        for row in rows:
            if len(row) != len(expected):
                raise UsageError(f"{path}, line {rows.line_num}: {len(row)} fields, not {len(expected)}")
            yield split_name(row[0]), int(row[1]), tuple(map(float, row[2:]))


def _npy_rows(path: Path, names: list[str]) -> Iterator[tuple[Name, int, tuple[float, ...]]]:
    array = np.load(path, allow_pickle=False)
    fields = array.dtype.fields or {}
    if set(fields) != {"object", "view", "latents"} or fields["latents"][0].shape != (len(names),):
        raise UsageError(
            f"{path}: expected a structured array with fields object, view and latents ({len(names)} numbers)"
        )
    for row in array.reshape(-1):
        yield split_name(str(row["object"])), int(row["view"]), tuple(row["latents"].astype(float).tolist())


def _number(text: str) -> float:
    """A number, in which ``pi`` and the four operations may stand."""
    if re.fullmatch(r"[\d.eE+\-*/() pi]{1,40}", text):
        try:
            value = _evaluated(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, ZeroDivisionError, OverflowError, RecursionError):
            value = math.nan
        if math.isfinite(value):
            return value
    raise UsageError(f"{text!r} is no number; write one such as 0.5, -pi or 3*pi/4")


def _evaluated(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id="pi"):
            return math.pi
        case ast.UnaryOp(op=ast.USub()):
            return -_evaluated(node.operand)
        case ast.UnaryOp(op=ast.UAdd()):
            return _evaluated(node.operand)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_evaluated(node.left), _evaluated(node.right))
    return math.nan
