"""Writes the leaderboard as text, CSV, JSON and LaTeX."""

import csv
import io
import json
from typing import Any

from iebench.evaluation.differences import SeedSummary
from iebench.report.leaderboard import Column, Leaderboard, Standing
from iebench.report.tables import MISSING

SETTINGS = ("backbone", "image_size", "epochs", "batch_size")
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
            **{name: standing.settings.get(name) for name in SETTINGS},
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
        r"\midrule",
    ]
    was_ours = True
    for standing in board.standings:
        if was_ours and not standing.is_ours:
            lines.append(r"\midrule")
        was_ours = standing.is_ours
        cells = [_latex_cell(column, standing.values.get(column.key)) for column in board.columns]
        words = [_escaped(standing.title), _escaped(", ".join(standing.told)) or "--"]
        lines.append(" & ".join([*words, *cells, _escaped(standing.source) or "ours"]) + r" \\")
    notes = [f"% {_escaped(note)}" for note in (*board.notes, R2_NOTE, TOLD_NOTE, *board.sources)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", *notes])


def as_text(board: Leaderboard) -> str:
    """Writes a table for a terminal, with its notes."""
    titles = [_described(standing) for standing in board.standings]
    width = max(len(title) for title in titles)
    columns = [
        [column.header, *(cell_text(column, standing.values.get(column.key)) for standing in board.standings)]
        for column in board.columns
    ]
    widths = [max(map(len, cells)) for cells in columns]
    lines = []
    for number, title in enumerate(["", *titles]):
        cells = "  ".join(f"{cells[number]:>{size}}" for cells, size in zip(columns, widths, strict=True))
        source = board.standings[number - 1].source if number else ""
        lines.append(f"{title:<{width}}  {cells}  {source}".rstrip())
    return "\n".join([*lines, "", *board.notes, R2_NOTE, TOLD_NOTE, "", *board.sources])


def cell_text(column: Column, value: SeedSummary | None) -> str:
    """Formats a score with its interval; a dash if there is none."""
    if value is None:
        return MISSING
    show = column.metric.show
    if value.low is None or value.high is None:
        return show(value.mean)
    return f"{show(value.mean)} [{show(value.low)}, {show(value.high)}]"


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
    special = {
        "\\": r"\textbackslash{}",
        "²": "$^2$",
        "–": "--",
        "’": "'",
        "~": r"\textasciitilde{}",
        "^": r"\^{}",
    }
    special |= {character: f"\\{character}" for character in "&%$#_{}"}
    return "".join(special.get(character, character) for character in text)
