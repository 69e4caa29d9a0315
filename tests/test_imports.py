"""Who may import whom: a lower package never imports a higher one, and nothing heavy comes in unasked."""

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "shards": {"torch"},  # datasets and their loader; no networks
    "render": {"shards", "bpy"},
    "iebench.methods": {"shards", "torch"},
    "iebench.augmentations": {"shards", "torch"},
    "iebench.backbones": {
        "shards",
        "torch",
        "iebench.augmentations",
        "iebench.methods",
        "iebench.recipes",
        "iebench.training",
    },
    "iebench.recipes": {
        "shards",
        "torch",
        "iebench.augmentations",
        "iebench.methods",
        "iebench.backbones",
        "iebench.evaluation",
        "iebench.training",
    },
    "iebench.training": {
        "shards",
        "torch",
        "iebench.augmentations",
        "iebench.methods",
        "iebench.backbones",
        "iebench.recipes",
        "iebench.evaluation",
    },
    "iebench.evaluation": {
        "shards",
        "torch",
        "iebench.augmentations",
        "iebench.methods",
        "iebench.backbones",
        "iebench.training",
    },
    "iebench.report": {
        "shards",
        "torch",
        "iebench.backbones",
        "iebench.methods",
        "iebench.training",
        "iebench.evaluation",
    },
}
"""The rooms and what each may import beside itself; ``iebench.cli`` may import all."""

WATCHED = {"shards", "render", "iebench", "bpy", "torch"}


def imported(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.append(node.module)
    return [name for name in found if name.split(".")[0] in WATCHED]


def is_in(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room: str):
    allowed = {room, *MAY_IMPORT[room], "iebench.__version__"}
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / room.replace(".", "/")).rglob("*.py")
        for name in imported(path)
        if name != "iebench" and not any(is_in(name, other) for other in allowed)
    ]
    assert wrong == []


@pytest.mark.slow
def test_only_the_blender_room_imports_blender():
    wrong = [
        str(path.relative_to(ROOT))
        for package in ("shards", "render", "iebench")
        for path in (ROOT / package).rglob("*.py")
        if not path.is_relative_to(ROOT / "render" / "blender")
        and any(is_in(name, "bpy") for name in imported(path))
    ]
    assert wrong == []


def modules_of(*packages: str) -> dict[str, Path]:
    paths = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


def test_no_module_of_shards_and_render_imports_itself_by_way_of_others():
    modules = modules_of("shards", "render")
    imports = {name: run_time_imports(path) & set(modules) for name, path in modules.items()}
    graph = TopologicalSorter(imports)
    graph.prepare()  # raises CycleError


def run_time_imports(path: Path) -> set[str]:
    """The modules that a file imports, also within functions, but not for type checkers alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    return {
        name
        for node in nodes
        for name in (node.module, *(f"{node.module}.{item.name}" for item in node.names))
    }


def test_no_two_modules_and_no_two_public_classes_share_a_name():
    modules = modules_of("shards", "render", "iebench")
    stems = Counter(name.rpartition(".")[2] for name in modules)
    classes = Counter(
        node.name
        for path in modules.values()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    shared = {name for name, count in (*stems.items(), *classes.items()) if count > 1} - {"__init__"}
    assert shared == set()
