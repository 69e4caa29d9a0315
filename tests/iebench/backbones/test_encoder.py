import pytest
import torch
from torch import Tensor, nn

from iebench.backbones.encoder import Encoder
from iebench.evaluation.fingerprints import fingerprint_of_encoder
from shards.errors import IebenchError


def images(count: int = 3, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def mean_color(pixels: Tensor) -> Tensor:
    return pixels.float().mean(dim=(2, 3))


def test_any_function_of_uint8_images_is_an_encoder():
    encoder = Encoder(mean_color, "mean color")
    vectors = encoder(images())
    torch.testing.assert_close(vectors, images().float().mean(dim=(2, 3)))
    assert vectors.dtype == torch.float32
    assert encoder.parts == {"all": (0, 3)}
    assert encoder.predictor is None


def test_the_network_gets_images_normalized_by_mean_and_deviation():
    encoder = Encoder(mean_color, "x", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    pixels = images().double() / 255
    expected = (pixels.mean(dim=(2, 3)) - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 0.25, 0.125])
    torch.testing.assert_close(encoder(images()).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normalization", [{}, {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}])
def test_images_are_resized_to_the_size_that_travels_with_the_encoder(normalization: dict):
    seen = []

    def network(pixels: Tensor) -> Tensor:
        seen.append((tuple(pixels.shape[2:]), pixels.dtype))
        return pixels.float().flatten(1)

    Encoder(network, "x", image_size=4, **normalization)(images(size=8))
    assert seen == [((4, 4), torch.float32 if normalization else torch.uint8)]


def test_a_resized_gray_image_stays_gray():
    encoder = Encoder(mean_color, "x", image_size=32)
    gray = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    assert encoder(gray).tolist() == [[77.0, 77.0, 77.0]]


def test_an_encoder_stays_frozen_and_in_evaluation_mode():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 2))
    encoder = Encoder(network, "x", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)).train()
    assert torch.equal(encoder(images()), encoder(images()))
    assert not encoder(images()).requires_grad
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_the_width_is_known_after_a_trial_before_any_pass():
    encoder = Encoder(mean_color, "x", parts={"red": (0, 1)})
    with pytest.raises(IebenchError, match="the width of x is not known before its first batch"):
        _ = encoder.parts
    assert encoder.try_out(16) == 3
    assert encoder.parts == {"all": (0, 3), "red": (0, 1)}


@pytest.mark.parametrize("normalization", [{}, {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}])
def test_a_function_gets_images_where_its_encoder_was_moved(normalization: dict):
    seen = []

    def encode(pixels: Tensor) -> Tensor:
        seen.append(pixels.device.type)
        return torch.zeros(len(pixels), 3)

    encoder = Encoder(encode, "x", **normalization).to("meta")
    encoder.try_out(8)
    fingerprint_of_encoder(encoder, 8)
    assert seen == ["meta", "meta"]


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda pixels: mean_color(pixels) * float("nan"), "encoder x gives NaN or infinite numbers"),
        (lambda pixels: mean_color(pixels) / 0, "encoder x gives NaN or infinite numbers"),
        (lambda pixels: pixels.float(), r"gives a tensor of shape \(3, 3, 8, 8\) for 3 images"),
        (lambda pixels: mean_color(pixels)[:2], r"gives a tensor of shape \(2, 3\) for 3 images"),
        (lambda pixels: (mean_color(pixels),), "encoder x gives a tuple; it has to give a tensor"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(7, 2)),
            r"encoder x fails on images of 8 x 8 px \(RuntimeError: mat1",
        ),
    ],
)
def test_an_encoder_that_gives_no_finite_vectors_is_one_sentence(network, message: str):
    with pytest.raises(IebenchError, match=message) as caught:
        Encoder(network, "x")(images())
    assert "\n" not in str(caught.value)


def test_another_width_from_batch_to_batch_is_one_sentence():
    encoder = Encoder(lambda pixels: mean_color(pixels)[:, : len(pixels)], "x")
    encoder(images(3))
    with pytest.raises(IebenchError, match="gives vectors of 2 numbers after vectors of 3"):
        encoder(images(2))


def test_a_part_beyond_the_width_is_one_sentence():
    with pytest.raises(
        IebenchError, match="vectors of 3 numbers, which have no columns 2 to 5 for its part 'b'"
    ):
        Encoder(mean_color, "x", parts={"b": (2, 5)})(images())


def test_images_that_are_not_uint8_are_one_sentence():
    with pytest.raises(IebenchError, match="takes uint8 images"):
        Encoder(mean_color, "x")(images().float())
