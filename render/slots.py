"""Gives each render process of one machine a number, and lets them compile kernels in turn."""

import fcntl
import hashlib
import os
import socket
from itertools import count
from pathlib import Path

from shards.locks import take_lock

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def node_folder(staging: Path) -> Path:
    """The folder of this machine's locks, made if it does not exist.

    Args:
        staging: The folder that all processes of a render share, perhaps from several machines.
    """
    folder = staging / "nodes" / socket.gethostname()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def take_slot(staging: Path) -> int:
    """Takes the lowest number that no other render process of this machine holds, until this process ends.

    With ``workers`` processes the numbers are 0 to ``workers - 1``, so that devices can be dealt by them. The
    kernel frees a number however the process ends, since it is a lock on a file. Processes that see other GPUs,
    as two jobs of a scheduler on one machine, are numbered by themselves.

    Args:
        staging: The folder that all processes of a render share, perhaps from several machines.
    """
    visible = "\n".join(os.environ.get(name, "") for name in _VISIBLE)
    folder = node_folder(staging) / f"slots-{hashlib.sha256(visible.encode()).hexdigest()[:8]}"
    folder.mkdir(exist_ok=True)
    for number in count():
        descriptor = os.open(folder / f"slot-{number}", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            take_lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, folder)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return number  # the descriptor stays open, and with it the lock
    raise AssertionError
