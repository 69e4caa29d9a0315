"""Errors of PyTorch and of CUDA's libraries, as the person is told of them."""

import pytest
import torch

from iebench.backbones.encoder import Encoder
from iebench.backbones.library_errors import is_out_of_memory
from shards.errors import IebenchError

WITHOUT_MEMORY = (
    torch.OutOfMemoryError("Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
)


@pytest.mark.parametrize("error", WITHOUT_MEMORY, ids=str)
def test_an_encoder_without_memory_asks_for_smaller_batches_whichever_library_noticed(error: RuntimeError):
    def encode(images: torch.Tensor) -> torch.Tensor:
        raise error

    assert is_out_of_memory(error)
    with pytest.raises(IebenchError, match="no memory left for 2 images of large; lower evaluation"):
        Encoder(encode, "large").try_out(32)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), OSError("CUDA out of memory")])
def test_other_errors_are_not_about_memory(error: Exception):
    assert not is_out_of_memory(error)
