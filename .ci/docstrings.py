"""Finds argument lines of docstrings that do not stand alone: those that begin with a preposition or "likewise".

``make lint`` runs it; it prints each such line and fails if there is one.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

DEPENDENT = re.compile(
    r"    (\*{0,2}\w+): (of|where|in|that|as|likewise|for|by|with|to|from|on|which|whose|at|into|between|whether|how)\b"
)
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$")


def dependent_lines(source: str) -> Iterator[str]:
    """Yields the lines under Args and Attributes that need the line above them to be understood."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        section = ""
        for line in (ast.get_docstring(node) or "").splitlines():
            if found := SECTION.match(line):
                section = found.group(1)
            elif line and not line.startswith(" "):
                section = ""
            if section in ("Args", "Attributes") and DEPENDENT.match(line):
                yield line.strip()


if __name__ == "__main__":
    wrong = [
        f"{path}: {line}"
        for package in ("shards", "render", "iebench")
        for path in sorted(Path(package).rglob("*.py"))
        for line in dependent_lines(path.read_text(encoding="utf-8"))
    ]
    sys.exit("\n".join(wrong) or 0)
