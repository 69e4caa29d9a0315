"""What mkdocs does beside building docs/: pages that stand elsewhere in the repository, and their links."""

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ELSEWHERE = {"results.md": "benchmarks/RESULTS.md", "changelog.md": "CHANGELOG.md"}
"""Pages of the site, and the files of the repository that they show."""


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that stand elsewhere, and a page for each notebook."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        page = notebook.src_uri.replace(".ipynb", ".md")
        files.append(File.generated(config, page, content=_as_markdown(Path(notebook.abs_src_path))))
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def _as_markdown(notebook: Path) -> str:
    """The cells of a notebook as Markdown, and a link to the notebook itself."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    parts.insert(1, f"[The notebook]({notebook.name}) itself, to run.")
    return "\n\n".join(parts)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turns links between files of the repository into links between pages."""
    for target, source in ELSEWHERE.items():
        markdown = markdown.replace(f"](../{source}", f"]({target}").replace(
            f"](../../{source}", f"](../{target}"
        )
    if page.file.src_uri in ELSEWHERE:
        markdown = markdown.replace("](../docs/", "](")
    return markdown
