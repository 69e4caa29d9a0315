import torch

from iebench.evaluation.features import Features
from iebench.evaluation.probes import classify, regress_pairs
from iebench.evaluation.scores import median_angle_degrees, r2_per_component
from iebench.methods.parts.transformations import relative_rotation
from iebench.recipes.recipe import EvaluationConfig

CONFIG = EvaluationConfig(epochs=40, batch_size=64, hidden_width=64)
CPU = torch.device("cpu")


def features(objects: int, seed: int, informative: bool) -> Features:
    """Representations that hold the class and the pose, or nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(objects) % 4
    latents = (torch.rand(objects, 8, 7, generator=generator, dtype=torch.float64) - 0.5) * 2
    noise = torch.randn(objects, 8, 12, generator=generator)
    if informative:
        noise[..., :4] += 5 * torch.eye(4)[labels][:, None]
        noise[..., 4:7] = latents[..., :3].float()
    return Features(noise, latents, labels, [("synset", str(number)) for number in range(objects)])


def rotation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return relative_rotation(first[:, :3], second[:, :3])


def test_classes_that_are_there_are_found():
    found = classify(features(64, 0, True), features(16, 1, True), 4, CONFIG, CPU)
    assert found["top1"] > 0.9
    assert found["top5"] == 1


def test_classes_that_are_not_there_are_not_found():
    assert classify(features(64, 0, False), features(64, 1, False), 4, CONFIG, CPU)["top1"] < 0.4


def test_rotations_that_are_there_are_regressed():
    predicted, expected = regress_pairs(features(64, 0, True), features(16, 1, True), rotation, CONFIG, CPU)
    assert expected.shape == (4 * 16 * 8, 4)
    assert r2_per_component(predicted, expected) > 0.6
    assert median_angle_degrees(predicted, expected) < 20


def test_rotations_that_are_not_there_give_no_positive_score():
    predicted, expected = regress_pairs(features(64, 0, False), features(16, 1, False), rotation, CONFIG, CPU)
    assert r2_per_component(predicted, expected) < 0.1


def test_probes_give_the_same_twice():
    train, val = features(32, 0, True), features(8, 1, True)
    first, second = (regress_pairs(train, val, rotation, CONFIG, CPU)[0] for _ in range(2))
    assert torch.equal(first, second)
