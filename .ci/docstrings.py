"""Finds lines of docstrings that do not stand alone in an editor's pop-up.

- A line under Args, Attributes or Raises begins with a capital letter, a digit, a backtick or a shape, and not with a
  word that refers back, such as "of" or "As".
- The first line of a docstring says what a thing is or does. It does not begin with a question word ("What a worker
  wrote"), a preposition ("Of its class") or a reference ("The same with more scores").

``make lint`` runs it; it prints each such line and fails if there is one.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ENTRY = re.compile(r"    (\*{0,2}\w+): (.*)")
SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$")
STANDS_ALONE = re.compile(r"(?!(As|Of|Likewise|That)\b)[A-Z0-9`(]")
RIDDLE = re.compile(
    r"(What|Who|Whose|Which|Where|When|How|Why|Of|As|In|On|At|By|For|From|To|With|Likewise|That of|The same)\b"
)


def dependent_lines(source: str) -> Iterator[str]:
    """Yields the lines of docstrings that need another line, or the code, to be understood."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            continue
        lines = (ast.get_docstring(node) or "").splitlines()
        if lines and RIDDLE.match(lines[0]):
            yield lines[0]
        section = ""
        for line in lines:
            if found := SECTION.match(line):
                section = found.group(1)
            elif line and not line.startswith(" "):
                section = ""
            entry = ENTRY.match(line) if section in ("Args", "Attributes", "Raises") else None
            if entry and not STANDS_ALONE.match(entry.group(2)):
                yield line.strip()


if __name__ == "__main__":
    wrong = [
        f"{path}: {line}"
        for package in ("shards", "render", "iebench")
        for path in sorted(Path(package).rglob("*.py"))
        for line in dependent_lines(path.read_text(encoding="utf-8"))
    ]
    sys.exit("\n".join(wrong) or 0)
