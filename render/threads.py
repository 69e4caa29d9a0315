"""Sets the number of cores that Blender sees."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def few_cores(count: int) -> Iterator[None]:
    """Shows this process only so many cores for a while.

    Blender's thread library (TBB) counts the cores it may use when Blender is imported, and starts a thread
    for each. Where a render process is told to use one thread, the others spin for work that never comes, on
    the cores of its neighbors. Import Blender within this context, and they are not there.
    """
    if not hasattr(os, "sched_setaffinity"):  # macOS
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
