"""A number for each render process of a machine, free again when the process ends."""

import fcntl
import os
import socket
from itertools import count
from pathlib import Path

FOLDER_NAME = "slots"


def take_slot(staging: Path) -> int:
    """The lowest number that no other render process of this machine holds; held until this process ends.

    With ``workers`` processes the numbers are 0 to ``workers - 1``, so that devices can be dealt by them. The
    kernel frees a number however the process ends, since it is a lock on a file.

    Args:
        staging: the folder that all processes of a render share, perhaps from several machines.
    """
    folder = staging / FOLDER_NAME / socket.gethostname()
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        descriptor = os.open(folder / f"slot-{number}", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return number  # the descriptor stays open, and with it the lock
    raise AssertionError
