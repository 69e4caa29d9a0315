"""The processes that train or evaluate one model, with torch.distributed, and how they come to an end together."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from iebench.training.devices import choose_device, claim_gpu, first_line, gpu_identity, require_own_gpus
from iebench.training.launch import Launch, read_launch, said_once_per_node
from iebench.training.watch import LAST_WORD, Watch
from shards.errors import IebenchError

_PATIENCE = timedelta(days=30)  # while rank 0 writes, or fits probes; a process that dies is noticed at once
_COLLECTIVE_TIMEOUT = timedelta(minutes=5)  # of gradients and statistics, for which nobody should wait long
_LAST_WORD = timedelta(seconds=LAST_WORD)
_NOTICING = 5.0  # seconds until the watch, too, knows of a process whose connections are closed


class Processes:
    """The processes of one job, of which this is one.

    What they say to each other goes over a group for the CPU, so that no GPU is waited for; tensors on GPUs have a
    group of their own.

    Args:
        rank: The number of this process.
        count: How many processes there are; with more than one, ``torch.distributed`` is initialised.
        device: The device that this process computes on.
    """

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank = rank
        self.count = count
        self.device = device
        self._group: Any = dist.new_group(backend="gloo", timeout=_PATIENCE) if count > 1 else None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def replicate(self, model: nn.Module) -> nn.Module:
        """The model, whose gradients are averaged over the processes where there are several.

        Buffers are not sent around at each step: synchronized batch norms hold the same everywhere.
        """
        if self.count == 1:
            return model
        return DistributedDataParallel(
            model,
            device_ids=[self.device] if self.device.type == "cuda" else None,
            broadcast_buffers=False,
        )

    def exchange(self, value: int) -> list[int]:
        """What every process says, by rank."""
        return [said for (said,) in self._exchange(value)]

    @contextmanager
    def fail_together(self, word: int = 0) -> Iterator[list[int]]:
        """Runs a block that may fail in one process: if it does, all processes end and one error is told.

        The first process that failed raises its error; the others end, with the same exit code and without a word,
        once that process is gone. Within the block, nothing may wait for another process.

        Args:
            word: A number to tell the others by the same message.

        Yields:
            A list that holds the words of all processes, by rank, once the block has ended.
        """
        words: list[int] = []
        if self.count == 1:
            yield words
            words.append(word)
            return
        mine: Exception | None = None
        try:
            yield words
        except Exception as error:
            mine = error
        said = self._exchange(getattr(mine, "exit_code", 1) if mine else 0, word)
        words += [word for _, word in said]
        codes = [code for code, _ in said]
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

    def collect(self, rows: Tensor) -> list[Tensor]:
        """In rank 0, the rows (any number, ...) of every process by rank; elsewhere nothing.

        Args:
            rows: Tensor on the CPU, of one type and, but for the first dimension, of one shape in all processes.
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

    def _exchange(self, *values: int) -> list[tuple[int, ...]]:
        """What every process says, by rank: as many numbers from each."""
        if self.count == 1:
            return [values]
        said = [torch.zeros(len(values), dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(said, torch.tensor(values), group=self._group)
        return [tuple(map(int, numbers)) for numbers in said]

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
        device: ``auto``, ``cpu``, ``cuda``, or one GPU by its number as in ``cuda:1``.

    Raises:
        UsageError: there is no such device, or the environment does not say which process this is.
        IebenchError: another process is gone.
    """
    processes = start_processes(device)
    if processes.count == 1:
        yield processes
        return
    watch = start_watch(processes, read_launch())
    atexit.unregister(_leave)
    atexit.register(
        watch.close, _leave
    )  # after an error has been told, and before the interpreter is taken down
    try:
        with _loss_as_error(watch):
            yield processes
            processes.exchange(0)
    except BaseException as error:
        watch.leave(_exit_code(error))
        raise
    watch.leave()
    atexit.unregister(watch.close)
    watch.close(_leave)


def start_processes(device: str) -> Processes:
    """Finds out which process this is, and connects it with the others.

    Raises:
        UsageError: There is no such device here, or the environment does not say which process this is.
    """
    with said_once_per_node():
        launch = read_launch()
        place = choose_device(device, launch)
    if launch.count > 1:
        host = f"[{launch.address}]" if ":" in launch.address else launch.address
        dist.init_process_group(
            "nccl" if place.type == "cuda" else "gloo",
            init_method=f"tcp://{host}:{launch.port}",
            rank=launch.rank,
            world_size=launch.count,
            timeout=_COLLECTIVE_TIMEOUT,
        )
        atexit.register(_leave)
    processes = Processes(launch.rank, launch.count, place)
    if place.type == "cuda":
        with processes.fail_together():
            claim_gpu(place)
        identities = processes.exchange(gpu_identity(place))
        with processes.fail_together():
            require_own_gpus(identities)
    return processes


def start_watch(processes: Processes, launch: Launch) -> Watch:
    """Has a thread in each of several processes notice when another one ends.

    Raises:
        IebenchError: A process does not reach rank 0.
    """
    watch = Watch(processes.rank, processes.count)
    with processes.fail_together():
        place = watch.listen(launch.address, launch.local_count == launch.count) if processes.first else ""
    place = processes.from_first(place)
    with processes.fail_together():
        if not processes.first:
            watch.join(place)
    return watch


def as_bytes(text: str) -> Tensor:
    """(length,) uint8, UTF-8."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def as_text(content: Tensor) -> str:
    """The text of ``as_bytes``."""
    return content.numpy().tobytes().decode()


def _leave() -> None:
    """Closes the connections to the other processes.

    A group's threads end with the last reference to it, and models hold some in cycles; an interpreter that is
    taken down beneath such a thread can abort.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
    gc.collect()


@contextmanager
def _loss_as_error(watch: Watch) -> Iterator[None]:
    """Turns a collective's error about another process into one sentence, which one process tells.

    Raises:
        IebenchError: Another process has ended without a word.
        SystemExit: Another process has told its error, or a third one tells of it.
    """
    try:
        yield
    except RuntimeError as error:
        if not _tells_of_loss(error):
            raise
        loss = watch.loss_within(_NOTICING)
        if loss is None:
            raise IebenchError(
                f"process {watch.rank} of {watch.count} waited for the others in vain ({first_line(error)}); what keeps "
                "them stands above or in their own logs, and `iebench train --resume RUN` goes on from the last checkpoint"
            ) from error
        if loss.code is None and watch.speaks:
            raise IebenchError(watch.describe(loss)) from error
        raise SystemExit(loss.code or 1) from None


def _exit_code(error: BaseException) -> int:
    """The exit code that a command gives an error."""
    code = error.code if isinstance(error, SystemExit) else getattr(error, "exit_code", 1)
    return code if isinstance(code, int) and code else 1


def _tells_of_loss(error: RuntimeError) -> bool:
    """Whether an error of PyTorch's collectives is about another process."""
    return isinstance(error, dist.DistError) or any(
        sign in str(error) for sign in ("gloo", "Connection closed", "Connection reset", "Broken pipe")
    )
