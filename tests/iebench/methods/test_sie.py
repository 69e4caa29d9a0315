import pytest
import torch

from iebench.methods import Dimensions
from iebench.methods.sie import SIE, SIEConfig
from shards.errors import UsageError


def test_the_parts_cover_the_representation_without_overlap():
    parts = SIE(SIEConfig(equivariant_dimension=3, projector=[16, 16]), Dimensions(8)).parts()
    assert parts == {"invariant": (0, 5), "equivariant": (5, 8)}


def test_without_an_invariant_part_the_whole_representation_is_steered():
    method = SIE(SIEConfig(only_equivariant=True, projector=[16, 16]), Dimensions(8))
    assert method.parts() == {}
    assert method.steered_embeddings(torch.randn(4, 8)).shape == (4, 16)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"equivariant_dimension": 8}, "equivariant_dimension = 8 leaves nothing for the invariant part"),
        (
            {"equivariant_dimension": 3, "projector": [16, 20]},
            "a width of 20 cannot be split for 5 of the 8",
        ),
    ],
)
def test_parts_that_do_not_fit_are_one_sentence(fields: dict, words: str):
    with pytest.raises(UsageError, match=words):
        SIE(SIEConfig(**{"projector": [16, 16], **fields}), Dimensions(8))
