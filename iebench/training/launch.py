"""Finds out whether this process was started alone, by torchrun, or as a task of Slurm's srun."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from shards.errors import IebenchError, UsageError

_FIRST_PORT = 15_000
_PORTS = 10_000


@dataclass(frozen=True)
class Launch:
    """Numbers of one process among all and on its node, and the address of rank 0, to which all connect."""

    rank: int = 0
    local_rank: int = 0
    count: int = 1
    local_count: int = 1
    address: str = "127.0.0.1"
    port: int = _FIRST_PORT
    by_slurm: bool = False


def read_launch(variables: Mapping[str, str] = os.environ) -> Launch:
    """Reads the environment variables that torchrun or srun sets.

    torchrun's variables come before Slurm's, so that srun may start a torchrun on each node. Slurm's variables count
    only if srun started this process as one of several; in a batch script or an interactive shell they do not.

    Raises:
        UsageError: The variables are incomplete.
    """
    try:
        if "WORLD_SIZE" in variables:
            return _from_torchrun(variables) if int(variables["WORLD_SIZE"]) > 1 else Launch()
        if int(variables.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
            return _from_slurm(variables)
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"the environment speaks of several processes and does not say which this one is ({error}); start "
            "them with torchrun or srun"
        ) from None
    return Launch()


def first_node(nodes: str) -> str:
    """Returns the first host of a list as Slurm writes it, such as ``node[07-09,12],login1``."""
    return re.sub(r"\[(\w+)[^]]*]", r"\1", nodes).split(",")[0]


@contextmanager
def raise_once_per_node() -> Iterator[None]:
    """Runs a block that fails alike in all processes of a node: the first raises the error, the others exit silently."""
    try:
        yield
    except IebenchError as error:
        if read_launch().local_rank:
            raise SystemExit(error.exit_code) from None
        raise


def _from_torchrun(variables: Mapping[str, str]) -> Launch:
    return Launch(
        rank=int(variables["RANK"]),
        local_rank=int(variables["LOCAL_RANK"]),
        count=int(variables["WORLD_SIZE"]),
        local_count=int(variables["LOCAL_WORLD_SIZE"]),
        address=variables["MASTER_ADDR"],
        port=int(variables["MASTER_PORT"]),
    )


def _from_slurm(variables: Mapping[str, str]) -> Launch:
    """Reads Slurm's variables; each step of a job uses its own port, unless ``MASTER_PORT`` names one."""
    count = int(variables["SLURM_STEP_NUM_TASKS"])
    port = _FIRST_PORT + (int(variables["SLURM_JOB_ID"]) + int(variables.get("SLURM_STEP_ID", "0"))) % _PORTS
    return Launch(
        rank=int(variables["SLURM_PROCID"]),
        local_rank=int(variables["SLURM_LOCALID"]),
        count=count,
        local_count=-(-count // int(variables.get("SLURM_STEP_NUM_NODES", "1"))),
        address=variables.get("MASTER_ADDR") or first_node(variables["SLURM_STEP_NODELIST"]),
        port=int(variables.get("MASTER_PORT", port)),
        by_slurm=True,
    )
