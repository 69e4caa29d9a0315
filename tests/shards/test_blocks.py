"""Memory of loader workers that is used again."""

import gc
import os

import pytest
import torch

from shards.blocks import Blocks


def test_a_block_is_taken_again_only_when_nothing_refers_to_what_was_received():
    blocks = Blocks(1, 2, 6)
    written, first = blocks.take(0, (2, 3))
    written[:] = 1
    received = first.received()
    row = received[1]
    _, second = blocks.take(0, (4,))
    assert second.position != first.position
    assert blocks.take(0, (6,)) is None
    del received
    assert blocks.take(0, (6,)) is None
    assert row.tolist() == [1, 1, 1]
    del row
    _, again = blocks.take(0, (6,))
    assert again.position == first.position


def test_each_worker_has_blocks_of_its_own():
    blocks = Blocks(3, 2, 1)
    taken = [blocks.take(worker, (1,))[1].position for worker in range(3) for _ in range(2)]
    assert len(set(taken)) == 6


@pytest.mark.processes
def test_a_parent_sees_what_a_forked_process_writes_and_the_other_way_round():
    blocks = Blocks(1, 1, 8)
    child = os.fork()
    if not child:
        tensor, _ = blocks.take(0, (8,))
        tensor[:] = torch.arange(8)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert blocks.take(0, (8,)) is None
    assert blocks.received(0, (2, 4)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert blocks.take(0, (8,))


def test_what_was_received_outlives_the_blocks():
    blocks = Blocks(1, 1, 3)
    written, block = blocks.take(0, (3,))
    written[:] = torch.tensor([1, 2, 3])
    received = block.received()
    del blocks, written
    gc.collect()
    assert received.tolist() == [1, 2, 3]
