"""Pages as Chromium shows them."""

import subprocess
from pathlib import Path

import pytest

from processes import PATIENCE

_CHROMIUM = Path("/usr/bin/chromium")
_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
    "--window-size=1400,1000",
    "--allow-file-access-from-files",
]
needs_chromium = pytest.mark.skipif(not _CHROMIUM.is_file(), reason="Chromium is not installed")


def shown(page: Path) -> str:
    """The document of a page once its scripts have run, as HTML."""
    command = [_CHROMIUM, *_QUIET, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
