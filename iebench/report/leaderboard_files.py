"""Writes the leaderboard as text, CSV, JSON and LaTeX."""

import csv
import io
import json
from itertools import groupby
from typing import Any

from iebench.evaluation.differences import SeedSummary
from iebench.report.leaderboard import Column, Leaderboard, Standing
from iebench.report.published import SETTINGS
from iebench.report.tables import MISSING, text_with_interval

R2_NOTE = (
    "An R² stands in the column of its definition; only numbers of one column can be compared: a constant prediction "
    "scores 0.23 pooled (0.46 for a single view) and 0 per component on 3DIEBench."
)
TOLD_NOTE = "MRR and H@k can be compared among rows that are told the same."


def as_records(board: Leaderboard) -> list[dict[str, Any]]:
    """Makes a flat record of each row: settings, and each score with the ends of its interval; None if unknown."""
    records = []
    for standing in board.standings:
        record: dict[str, Any] = {
            "method": standing.title,
            "published": not standing.is_ours,
            "told": " ".join(standing.told),
            "variant": standing.variant,
            **{name: standing.settings[name] for name in SETTINGS},
            "seeds": max((value.number for value in standing.values.values()), default=1),
        }
        for column in board.columns:
            value = standing.values.get(column.key)
            record[column.key] = value.mean if value else None
            record[f"{column.key}_low"] = value.low if value else None
            record[f"{column.key}_high"] = value.high if value else None
            record[f"{column.key}_chance"] = value.chance if value else None
        records.append({**record, "source": standing.source, "note": standing.note})
    return records


def as_json(board: Leaderboard) -> str:
    """Writes rows and notes as one JSON object."""
    content = {"rows": as_records(board), "notes": [*board.notes, R2_NOTE, TOLD_NOTE, *board.sources]}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)


def as_csv(board: Leaderboard) -> str:
    """Writes the rows as CSV with a header line."""
    records = as_records(board)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return stream.getvalue().rstrip("\n")


def as_latex(board: Leaderboard) -> str:
    """Writes a ``tabular`` for the booktabs package, with intervals as subscripts."""
    head = ["method", "told", *(column.header for column in board.columns), "source"]
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{ll{'r' * len(board.columns)}l}}",
        r"\toprule",
        " & ".join(_escaped(name) for name in head) + r" \\",
    ]
    for _, standings in groupby(board.standings, key=lambda standing: standing.is_ours):
        lines.append(r"\midrule")
        for standing in standings:
            cells = [_latex_cell(column, standing.values.get(column.key)) for column in board.columns]
            words = [_escaped(standing.title), _escaped(", ".join(standing.told)) or "--"]
            lines.append(" & ".join([*words, *cells, _escaped(standing.source) or "ours"]) + r" \\")
    notes = [f"% {_escaped(note)}" for note in (*board.notes, R2_NOTE, TOLD_NOTE, *board.sources)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes])


def as_text(board: Leaderboard) -> str:
    """Writes a table for a terminal, with its notes."""
    rows = [["", *(column.header for column in board.columns), ""]]
    for standing in board.standings:
        cells = [_cell(column, standing.values.get(column.key)) for column in board.columns]
        rows.append([_described(standing), *cells, standing.source])
    width, *widths, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    lines = []
    for title, *cells, source in rows:
        numbers = "  ".join(f"{cell:>{size}}" for cell, size in zip(cells, widths, strict=True))
        lines.append(f"{title:<{width}}  {numbers}  {source}".rstrip())
    return "\n".join([*lines, "", *board.notes, R2_NOTE, TOLD_NOTE, "", *board.sources])


def _cell(column: Column, value: SeedSummary | None) -> str:
    return MISSING if value is None else text_with_interval(column.metric, value.mean, value)


def _described(standing: Standing) -> str:
    told = f" told {', '.join(standing.told)}" if standing.told else ""
    variant = "" if standing.variant == "3diebench" else f" on {standing.variant}"
    return f"{standing.title}{told}{variant}"


def _latex_cell(column: Column, value: SeedSummary | None) -> str:
    if value is None:
        return "--"
    show = column.metric.show
    number = _escaped(show(value.mean)).replace("-", "$-$")
    if value.low is None or value.high is None:
        return number
    return rf"{number} {{\scriptsize [{_escaped(show(value.low))}, {_escaped(show(value.high))}]}}"


def _escaped(text: str) -> str:
    """Escapes text for LaTeX."""
    special: dict[str, str | int | None] = {character: f"\\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
    special |= {"²": "$^2$", "–": "--", "’": "'"}
    return text.translate(str.maketrans(special))
