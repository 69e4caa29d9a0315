"""Blender reports every step on the process's standard output; a caller who did not ask is spared it."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_output() -> Iterator[None]:
    """Within it, whatever is written to standard output, by Blender's C code too, is dropped."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
