"""The check of docstrings in `make lint` finds the lines that do not stand alone."""

import importlib.util
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[1] / ".ci" / "docstrings.py"


def dependent_lines(source: str) -> list[str]:
    spec = importlib.util.spec_from_file_location("docstrings", CHECK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.dependent_lines(source))


@pytest.mark.parametrize(
    "line",
    [
        "Of a method whose loss is on embeddings.",
        "What it is built for.",
        "The same with more scores.",
        "As of ``PictureSource``.",
        "How many objects there are.",
    ],
)
def test_a_first_line_that_is_a_riddle_is_found(line: str):
    assert dependent_lines(f'def f():\n    """{line}"""') == [line]


@pytest.mark.parametrize(
    "entry", ["config: sizes and coefficients.", "seed: Of the weights.", "Error: there is none."]
)
@pytest.mark.parametrize("section", ["Args", "Attributes", "Raises"])
def test_an_entry_that_does_not_stand_alone_is_found(section: str, entry: str):
    source = f'class C:\n    """Does something.\n\n    {section}:\n        {entry}\n    """'
    assert dependent_lines(source) == [entry]


def test_whole_phrases_pass():
    source = '''def f(an: int, images: object) -> None:
    """Encodes images.

    An example of a second paragraph, in which of and what may begin a sentence.

    Args:
        an: An article; by default 1.
        images: (batch, 3, height, width) uint8.

    Raises:
        ValueError: The images are of another size.
    """'''
    assert dependent_lines(source) == []
