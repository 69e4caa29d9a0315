"""Redirects what C code writes past ``sys.stdout`` and ``sys.stderr``, on the process's own descriptors."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def redirected(descriptor: int, path: Path) -> Iterator[None]:
    """Within it, whatever is written to a descriptor goes to the end of a file.

    Args:
        descriptor: 1 for standard output, 2 for standard error.
        path: Path of the file; ``os.devnull`` drops the output.
    """
    stream = sys.stdout if descriptor == 1 else sys.stderr
    stream.flush()
    kept = os.dup(descriptor)
    with path.open("ab") as file:
        os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        stream.flush()
        os.dup2(kept, descriptor)
        os.close(kept)
