"""The processes that train or evaluate together, with Lightning Fabric, and how they come to an end together."""

import atexit
import gc
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from iebench.training.launch import Launch, read_launch, said_once_per_node
from shards.errors import IebenchError, UsageError

T = TypeVar("T")

_PATIENCE = timedelta(days=30)  # while rank 0 writes, or fits probes; a process that dies is noticed at once
_LAST_WORD = timedelta(seconds=30)


class Processes:
    """The processes of one job, of which this is one.

    Beside what Fabric uses for tensors on devices, they talk over a group for the CPU, so that no GPU is waited
    for.

    Args:
        fabric: launched.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.rank = fabric.global_rank
        self.count = fabric.world_size
        self._group: Any = dist.new_group(backend="gloo", timeout=_PATIENCE) if self.count > 1 else None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def exchange(self, value: int) -> list[int]:
        """What every process says, by rank."""
        if self.count == 1:
            return [value]
        values = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(values, torch.tensor([value]), group=self._group)
        return [int(item) for item in values]

    @contextmanager
    def together(self) -> Iterator[None]:
        """Something that can fail in one process: then all end, and one error is told.

        The first process that failed raises its error; the others end, with the same exit code and without a word,
        once that process is gone. Within, nothing may wait for another process.
        """
        if self.count == 1:
            yield
            return
        mine: Exception | None = None
        try:
            yield
        except Exception as error:
            mine = error
        codes = self.exchange(getattr(mine, "exit_code", 1) if mine else 0)
        speaker = next((rank for rank, code in enumerate(codes) if code), None)
        if speaker is None:
            return
        if mine and speaker == self.rank:
            try:
                raise mine
            finally:
                mine = None  # or the error would keep this frame, and all that the frames above hold
        self._outlast(speaker)
        raise SystemExit(codes[speaker])

    def in_step(self, items: Iterable[T]) -> Iterator[T]:
        """The items, each of which every process waits for; an error in one process ends all."""
        iterator = iter(items)
        while True:
            with self.together():
                item = next(iterator, None)
            if item is None:
                return
            yield item

    def collect(self, rows: Tensor) -> list[Tensor]:
        """In rank 0, the rows (any number, ...) of every process by rank; elsewhere nothing.

        Args:
            rows: on the CPU, of one type and, but for the first, of one shape in all processes.
        """
        if self.count == 1:
            return [rows]
        sizes = self.exchange(len(rows))
        if not self.first:
            if len(rows):
                dist.send(rows.contiguous(), 0, group=self._group)
            return []
        shares = [rows]
        for rank, size in enumerate(sizes[1:], start=1):
            share = rows.new_empty((size, *rows.shape[1:]))
            if size:
                dist.recv(share, rank, group=self._group)
            shares.append(share)
        return shares

    def from_first(self, text: str) -> str:
        """What rank 0 says, in all processes."""
        if self.count == 1:
            return text
        content = as_bytes(text if self.first else "-")
        (size, *_) = self.exchange(len(content))
        content = content if self.first else content.new_empty(size)
        dist.broadcast(content, 0, group=self._group)
        return as_text(content)

    def _outlast(self, rank: int) -> None:
        """Waits for the end of another process: launchers end all with the first, perhaps before it has spoken."""
        with suppress(RuntimeError):  # its connection is closed
            silence = dist.irecv(torch.zeros(1), rank, group=self._group)
            if silence:
                silence.wait(_LAST_WORD)


@contextmanager
def launched(device: str) -> Iterator[Processes]:
    """The processes that torchrun or srun started, or this one alone; they leave together.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        UsageError: there is no such device, or the environment does not say which process this is.
        IebenchError: another process is gone.
    """
    processes = Processes(start_fabric(device))
    if processes.count == 1:
        yield processes
        return
    try:
        yield processes
        processes.exchange(0)
    except RuntimeError as error:
        if not _tells_of_loss(error):
            raise
        raise IebenchError(
            f"process {processes.rank} of {processes.count} lost the others, one of which has ended; what ended it "
            "stands above or in its own log, and `iebench train --resume` goes on from the last checkpoint"
        ) from error
    _leave()


def start_fabric(device: str) -> Fabric:
    """The engine: mixed precision in bfloat16 on CUDA, float32 on the CPU; one device to a process.

    Raises:
        UsageError: there is no such device here, or the environment does not say which process this is.
    """
    with said_once_per_node():
        launch = read_launch()
        place = choose_device(device, launch)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    precision: Any = "bf16-mixed" if place.type == "cuda" else "32-true"
    if launch.count == 1:
        devices: Any = [place.index] if place.type == "cuda" else 1
        fabric = Fabric(
            accelerator=place.type, devices=devices, precision=precision, plugins=[LightningEnvironment()]
        )
    else:
        strategy = _OneDevice(parallel_devices=[place], cluster_environment=_Launched(launch))
        fabric = Fabric(accelerator=place.type, strategy=strategy, precision=precision)
    fabric.launch()
    if launch.count > 1:
        atexit.register(_leave)  # after an error has been told, and before the interpreter is taken down
    return fabric


def choose_device(device: str, launch: Launch) -> torch.device:
    """The device of one process: of GPUs, that of its number on the node.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        launch: of the process.

    Raises:
        UsageError: there is no such device.
    """
    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        device = "cuda" if visible else "cpu"
    if device == "cpu":
        return torch.device("cpu")
    if not visible:
        raise UsageError(
            "there is no CUDA device that PyTorch can use; try --device cpu, or see `iebench doctor`"
        )
    if launch.by_slurm and visible == 1:  # srun --gpus-per-task: each sees its own
        return torch.device("cuda", 0)
    if launch.local_count > visible:
        raise UsageError(
            f"{launch.local_count} processes were started on this node, which has {visible} GPUs; start one to a "
            "GPU, or add --device cpu"
        )
    return torch.device("cuda", launch.local_rank)


def as_bytes(text: str) -> Tensor:
    """(length,) uint8, UTF-8."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def as_text(content: Tensor) -> str:
    """The text of ``as_bytes``."""
    return content.numpy().tobytes().decode()


class _Launched(TorchElasticEnvironment):
    """A launch as Fabric asks for it, whoever started the processes."""

    def __init__(self, launch: Launch) -> None:
        super().__init__()
        self._launch = launch

    @property
    def main_address(self) -> str:
        return self._launch.address

    @property
    def main_port(self) -> int:
        return self._launch.port

    def world_size(self) -> int:
        return self._launch.count

    def global_rank(self) -> int:
        return self._launch.rank

    def local_rank(self) -> int:
        return self._launch.local_rank

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Fabric would count devices by node, and each process names its own only."""


class _OneDevice(DDPStrategy):
    """Of its devices each process knows its own only."""

    @property
    def root_device(self) -> torch.device:
        """The device of this process."""
        assert self.parallel_devices is not None
        return self.parallel_devices[0]

    def setup_module(self, module: nn.Module) -> DistributedDataParallel:
        """Buffers are not sent around at each step: synchronised batch norms hold the same everywhere."""
        wrapped = super().setup_module(module)
        wrapped.broadcast_buffers = False
        return wrapped


def _leave() -> None:
    """Closes the connections to the other processes.

    A group's threads end with the last reference to it, and models hold some in cycles; an interpreter that is
    taken down beneath such a thread can abort.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
    gc.collect()


def _tells_of_loss(error: RuntimeError) -> bool:
    """Whether an error of PyTorch's collectives is about another process."""
    return isinstance(error, dist.DistError) or any(
        sign in str(error) for sign in ("gloo", "Connection closed", "Connection reset", "Broken pipe")
    )
