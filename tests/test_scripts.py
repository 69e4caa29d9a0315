"""What scripts and documents import exists, though neither mypy nor a test runs most of them."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(
    path.relative_to(ROOT)
    for folder in ("benchmarks", "docs", "README.md")
    for path in ([ROOT / folder] if folder.endswith(".md") else (ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md")
)


def imports_of(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of each import; the name is empty for ``import module``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def module_file(module: str, beside: Path) -> Path | None:
    """The file of one of our modules, or of a script beside the one that imports it; None if it is neither."""
    for root in (ROOT, beside):
        path = root.joinpath(*module.split("."))
        for found in (path.with_suffix(".py"), path / "__init__.py"):
            if found.is_file():
                return found
    return None


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names that a module defines outside of functions and classes, without running it."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        waiting += ast.iter_child_nodes(node)
    return frozenset(found)


def missing_imports(source: str, beside: Path) -> list[str]:
    missing = []
    for module, name in imports_of(source):
        file = module_file(module, beside)
        is_ours = module.split(".")[0] in ("iebench", "render", "shards")
        if file is None and is_ours:
            missing.append(module)
        elif file is not None and name not in ("", "*"):
            is_module = module_file(f"{module}.{name}", beside) is not None
            missing += [] if is_module or name in names_in(file) else [f"{module}.{name}"]
    return missing


def programs_in(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return [text] if path.suffix == ".py" else re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_everything_that_a_script_or_a_document_imports_exists(script: Path):
    for program in programs_in(ROOT / script):
        assert missing_imports(program, (ROOT / script).parent) == []


def test_an_import_of_something_that_is_not_there_is_found():
    program = "from shards.schema import open_dataset, nothing\nfrom iebench.nowhere import it\nimport methods_table"
    assert missing_imports(program, ROOT / "benchmarks") == ["shards.schema.nothing", "iebench.nowhere"]
