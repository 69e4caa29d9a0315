from iebench.report.shown_views import changes_in_words
from shards.reader import View
from shards.schema import SampleMetadata, open_dataset
from shards.variants import VARIANTS


def view(number: int, latents: tuple[float, ...]) -> View:
    return View(SampleMetadata(synset="s", object="o", view=number, label=0, latents=latents), b"")


def test_what_a_predictor_is_told_besides_rotation_is_said_in_words(toy_dataset):
    index = open_dataset(toy_dataset).model_copy(update={"latents": VARIANTS["translated"]})
    first = view(0, (0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0))
    second = view(1, (0.0, 0.0, 0.0, 0.5, 0.5235987756, 3.1415926536, 0.25, 0.1, -0.2, 0.0))
    assert changes_in_words(first, second, index, ["rotation"]) == ""
    assert changes_in_words(first, second, index, ["rotation", "color"]) == "floor hue +90°, light hue -90°"
    everything = changes_in_words(first, second, index, ["color", "light", "translation"])
    assert "light from 0°/0° to 30°/180°" in everything
    assert everything.endswith("moved by +0.10, -0.20, +0.00")
