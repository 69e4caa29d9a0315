"""The processes that train or evaluate one model together, by torch.distributed, and how they end together."""

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

from iebench.training.devices import choose_device, claim_gpu, gpu_identity, require_own_gpus
from iebench.training.launch import Launch, raise_once_per_node, read_launch
from iebench.training.watch import LAST_WORD, Watch
from shards.errors import IebenchError, first_line

_PATIENCE = timedelta(days=30)  # while rank 0 writes, or fits probes; a process that dies is noticed at once
_COLLECTIVE_TIMEOUT = timedelta(minutes=5)  # of gradients and statistics, for which nobody should wait long
_LAST_WORD = timedelta(seconds=LAST_WORD)
_NOTICING = 5.0  # seconds until the watch, too, knows of a process whose connections are closed


class Processes:
    """The processes of one job, as seen from one of them; if they are several, ``torch.distributed`` is initialized.

    Messages between processes use a group on the CPU, so that no GPU is waited for. Tensors on GPUs use another group.
    """

    def __init__(self, rank: int, count: int, device: torch.device) -> None:
        self.rank = rank
        self.count = count
        self.device = device
        self._group: Any = dist.new_group(backend="gloo", timeout=_PATIENCE) if count > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this process is rank 0, which alone writes and prints."""
        return self.rank == 0

    def replicate(self, model: nn.Module) -> nn.Module:
        """Returns a model whose gradients are averaged over all processes; with one process, the model itself.

        Buffers are not exchanged at each step, because synchronized batch norms keep them equal.
        """
        if self.count == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)

    def gather_integers(self, value: int) -> list[int]:
        """Returns the values of all processes, by rank."""
        return [said for (said,) in self._exchange(value)]

    @contextmanager
    def fail_together(self, word: int = 0) -> Iterator[list[int]]:
        """Runs a block that may fail in one process. If it does, all processes exit and one of them reports the error.

        The failed process of the lowest rank raises its error. The others exit silently with the same exit code after
        that process has ended. The block must not wait for another process.

        Args:
            word: Number that is sent to all processes by the same message.

        Yields:
            List that holds the words of all processes, by rank, after the block has ended.
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

    def gather_rows(self, rows: Tensor) -> list[Tensor]:
        """Returns the rows of all processes, by rank, in rank 0; an empty list in other ranks.

        The rows are tensors (any number, ...) on the CPU, whose type and other dimensions are the same in all processes.
        """
        if self.count == 1:
            return [rows]
        sizes = self.gather_integers(len(rows))
        if not self.is_first:
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

    def broadcast_text(self, text: str) -> str:
        """Returns the text of rank 0, which must not be empty, in all processes."""
        if self.count == 1:
            return text
        said = torch.frombuffer(bytearray(text.encode() or b"-"), dtype=torch.uint8)  # no buffer may be empty
        size, *_ = self.gather_integers(len(said))
        if not self.is_first:
            said = said.new_empty(size)
        dist.broadcast(said, 0, group=self._group)
        return said.numpy().tobytes().decode()

    def _exchange(self, *values: int) -> list[tuple[int, ...]]:
        """Returns the numbers of all processes, by rank; all must give equally many."""
        if self.count == 1:
            return [values]
        said = [torch.zeros(len(values), dtype=torch.int64) for _ in range(self.count)]
        dist.all_gather(said, torch.tensor(values), group=self._group)
        return [tuple(map(int, numbers)) for numbers in said]

    def _outlast(self, rank: int) -> None:
        """Waits until another process has ended. Launchers kill all with the first, maybe before it has printed its error."""
        with suppress(RuntimeError):  # its connection is closed
            silence = dist.irecv(torch.zeros(1), rank, group=self._group)
            if silence:
                silence.wait(_LAST_WORD)


@contextmanager
def launched(device: str) -> Iterator[Processes]:
    """Connects the processes that torchrun or srun started, or runs alone; at the end of the block all leave together.

    Raises:
        UsageError: There is no such device, or the environment does not say which process this is.
        IebenchError: Another process has ended.
    """
    processes = start_processes(device)
    if processes.count == 1:
        yield processes
        return
    watch = start_watch(processes, read_launch())
    atexit.unregister(_leave)
    # After an error has been told, and before the interpreter is taken down.
    atexit.register(watch.close, _leave)
    try:
        with _loss_as_error(watch):
            yield processes
            processes.gather_integers(0)
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
    with raise_once_per_node():
        launch = read_launch()
        chosen = choose_device(device, launch)
    if launch.count > 1:
        host = f"[{launch.address}]" if ":" in launch.address else launch.address
        dist.init_process_group(
            "nccl" if chosen.type == "cuda" else "gloo",
            init_method=f"tcp://{host}:{launch.port}",
            rank=launch.rank,
            world_size=launch.count,
            timeout=_COLLECTIVE_TIMEOUT,
        )
        atexit.register(_leave)
    processes = Processes(launch.rank, launch.count, chosen)
    if chosen.type == "cuda":
        with processes.fail_together():
            claim_gpu(chosen)
        identities = processes.gather_integers(gpu_identity(chosen))
        with processes.fail_together():
            require_own_gpus(identities)
    return processes


def start_watch(processes: Processes, launch: Launch) -> Watch:
    """Starts a thread in each of several processes that notices when another one ends.

    Raises:
        IebenchError: A process does not reach rank 0.
    """
    watch = Watch(processes.rank, processes.count)
    contact = ""
    with processes.fail_together():
        if processes.is_first:
            contact = watch.listen(launch.address, launch.local_count == launch.count)
    contact = processes.broadcast_text(contact)
    with processes.fail_together():
        if not processes.is_first:
            watch.join(contact)
    return watch


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
    """Turns a collective's error about another process into one sentence, which one process reports.

    Raises:
        IebenchError: Another process has ended without reporting an error.
        SystemExit: Another process has reported its error, or a third one reports it.
    """
    try:
        yield
    except RuntimeError as error:
        if not _tells_of_loss(error):
            raise
        lost = watch.lost_within(_NOTICING)
        if lost is None:
            raise IebenchError(
                f"process {watch.rank} of {watch.count} waited for the others in vain ({first_line(error)}); what keeps "
                "them stands above or in their own logs, and `iebench train --resume RUN` goes on from the last checkpoint"
            ) from error
        if lost.code is None and watch.speaks:
            raise IebenchError(watch.describe(lost)) from error
        raise SystemExit(lost.code or 1) from None


def _exit_code(error: BaseException) -> int:
    """Returns the exit code of a command that ends with an error."""
    code = error.code if isinstance(error, SystemExit) else getattr(error, "exit_code", 1)
    return code if isinstance(code, int) and code else 1


def _tells_of_loss(error: RuntimeError) -> bool:
    """Returns whether an error of PyTorch's collectives is about another process."""
    return isinstance(error, dist.DistError) or any(
        sign in str(error) for sign in ("gloo", "Connection closed", "Connection reset", "Broken pipe")
    )
