"""The page on which a person walks through representations, computed here and seen in a browser."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from chromium import needs_chromium, shown
from commands import call
from iebench.backbones.encoder import Encoder
from iebench.methods.parts.predictors import PredictorConfig, build_predictor
from iebench.methods.parts.transformations import quaternion_from_euler
from iebench.recipes.recipe import load_recipe
from iebench.report.explorer import pack_as_int16, principal_components, steering_of, write_explorer
from iebench.report.sample import read_sample
from iebench.training.run import Run
from iebench.training.run_encoder import encoder_of_run
from shards.errors import UsageError
from shards.schema import open_dataset
from small_runs import small_recipe, untrained_run

TURN = (40, -25, 10)


@pytest.fixture(scope="module")
def runs(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """SIE and VICReg as they were drawn."""
    folder = tmp_path_factory.mktemp("explored")
    untrained_run(folder / "sie", toy_dataset, small_recipe())
    untrained_run(folder / "vicreg", toy_dataset, load_recipe("demo_vicreg"))
    return [folder / "sie", folder / "vicreg"]


@pytest.fixture(scope="module")
def page(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "explorer.html"
    write_explorer(runs, out)
    return out.read_text(encoding="utf-8")


def content_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


class Predictor(torch.nn.Module):
    """A predictor on embeddings that are the representations themselves."""

    def __init__(self, kind: str, groups: tuple[str, ...], dimension: int = 12) -> None:
        super().__init__()
        self.groups = groups
        self.latent_names = ()
        hidden = [dimension] if kind == "mlp" else []
        self.inner = build_predictor(PredictorConfig(kind=kind, hidden=hidden), dimension, groups)

    def embed(self, representations: torch.Tensor) -> torch.Tensor:
        return representations

    def predict(self, embeddings: torch.Tensor, transformation: torch.Tensor) -> torch.Tensor:
        return self.inner(embeddings, transformation)


@pytest.mark.parametrize("kind", ["hypernetwork", "steer"])
@torch.inference_mode()
def test_a_linear_predictor_is_read_off_its_answers(kind: str):
    predictor = Predictor(kind, ("color", "rotation"))
    embeddings = torch.randn(30, 12)
    steering = steering_of(predictor, embeddings)
    assert steering is not None and steering.kept == pytest.approx(1)
    turn = F.normalize(torch.randn(30, 4), dim=1)
    exact = predictor.predict(embeddings, torch.cat((torch.zeros(30, 2), turn), dim=1))
    weights = torch.cat((torch.ones(30, 1), turn), dim=1)
    maps, inside = torch.from_numpy(steering.maps), torch.from_numpy(steering.embeddings)
    found = torch.einsum("krs,ns,nk->nr", maps, inside, weights)
    torch.testing.assert_close(found @ found.T, exact @ exact.T, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(inside @ found.T, embeddings @ exact.T, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
def test_a_predictor_that_is_no_linear_map_is_not_steered():
    assert steering_of(Predictor("mlp", ("rotation",)), torch.randn(30, 12)) is None
    assert steering_of(Predictor("hypernetwork", ("color",)), torch.randn(30, 12)) is None


def test_components_are_ordered_by_variance_and_one_that_is_missing_is_zero():
    line = torch.arange(6.0)[:, None] * torch.tensor([[3.0, 4.0]])
    found = principal_components(line, 2)
    assert found[:, 0].abs().max() == pytest.approx(1)
    assert found[:, 0].diff().abs() == pytest.approx([0.4] * 5)
    assert principal_components(torch.zeros(4, 1), 2).tolist() == [[0, 0]] * 4


def test_packed_numbers_keep_four_digits():
    numbers = np.array([[1.5, -2.0], [0.25, 0.0]])
    found = pack_as_int16(numbers)
    raw = np.frombuffer(base64.b64decode(found["data"]), "<i2").reshape(found["shape"])
    np.testing.assert_allclose(raw * found["scale"], numbers, atol=2 / 32767)


def test_the_command_writes_a_page_that_refers_to_nothing_outside(runs, tmp_path: Path):
    out = tmp_path / "explorer.html"
    result = call("explore", *runs, "--out", out, "--views", "8")
    assert result.code == 0, result.err
    source = out.read_text(encoding="utf-8")
    assert not re.findall(
        r"""(?:src|href|url)\s*[=(]\s*["']?(?!data:|\$)[\w/.:]+""", source.split("<script")[0]
    )
    assert "http" not in source.replace("http-equiv", "")
    content = content_of(source)
    assert len(content["labels"]) == 8
    assert content["runs"][0]["predictor"]["told"] == ["rotation"]
    assert content["runs"][1]["predictor"] is None
    assert "has no predictor" in content["runs"][1]["without"]


def test_a_folder_that_is_no_run_is_one_sentence(tmp_path: Path):
    assert call("explore", tmp_path, "--out", tmp_path / "page.html").code == 2
    with pytest.raises(UsageError, match="at least one run"):
        write_explorer([], tmp_path / "page.html")


WATCH = """<script>
window.addEventListener("error", (event) => { document.title = "failed " + event.message; });
</script>"""
ACT = """<script>
const shown = () => [...byId("answers").querySelector("ol").children].map((item) => Number(item.dataset.view));
const fire = (id, value, kind) => { byId(id).value = value; byId(id).dispatchEvent(new Event(kind)); };
const seen = {start: shown(), picked: state.view};
const angles = () => [...byId("own").querySelectorAll("[data-angle-of]")].map((item) => parseInt(item.textContent));
seen.before = angles();
const own = (view) => angleBetween(product([0, 0, 0, 1], poseOf(view)), poseOf(view).map((value) => -0.9999 * value));
seen.toItself = Math.max(...content.owners.map((owner, view) => own(view)));
fire("turn-x", 40, "input"); fire("turn-y", -25, "input"); fire("turn-z", 10, "input");
seen.turned = shown();
seen.after = angles();
seen.wanted = parseInt(byId("own").querySelector(".wanted").textContent);
seen.told = byId("turn-y").nextElementSibling.textContent;
byId("map").focus();
const walked = new Set([state.view]);
for (const key of ["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "ArrowRight"]) {
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
  walked.add(state.view);
}
seen.walked = walked.size;
byId("own").querySelector("button").click();
fire("gallery", "own", "change");
seen.own = new Set(shown().map((view) => content.owners[view])).size;
fire("part", "all", "change"); fire("color", "pose", "change");
seen.width = document.documentElement.clientWidth;
seen.content = document.documentElement.scrollWidth;
seen.sliders = Math.min(...[...document.querySelectorAll("input[type=range]")].map((item) => item.clientWidth));
document.title = document.title.startsWith("failed") ? document.title : "seen " + JSON.stringify(seen);
parent.document.title = document.title;
</script>"""


@pytest.mark.browser
@needs_chromium
def test_sliders_keyboard_and_both_widths_work_in_a_browser(page: str, runs: list[Path], tmp_path: Path):
    (tmp_path / "page.html").write_text(
        page.replace("<head>", f"<head>{WATCH}").replace("</body>", f"{ACT}</body>")
    )
    for width in (390, 1300):
        seen = in_frame(tmp_path, width)
        assert seen["content"] == seen["width"] <= width
        assert seen["sliders"] > 150
        assert seen["walked"] > 1
        assert seen["own"] == 1
        assert seen["before"][0] == 0 and seen["after"][0] == pytest.approx(turned_by(TURN), abs=1)
        assert seen["toItself"] == 0
        assert seen["wanted"] == min(seen["after"])
        assert seen["told"] == "−25°"
        assert seen["turned"] != seen["start"]
        encoder = encoder_of_run(
            Run(runs[0]), Run(runs[0]).last_checkpoint, open_dataset(Run(runs[0]).data())
        )
        assert seen["start"] == looked_up(encoder, Run(runs[0]).data(), (0, 0, 0))
        assert seen["turned"] == looked_up(encoder, Run(runs[0]).data(), TURN)


def turned_by(degrees: tuple[int, int, int]) -> float:
    """The angle of a rotation that is given about x, y and z."""
    told = quaternion_from_euler(torch.deg2rad(torch.tensor([degrees], dtype=torch.float64)))
    return float(torch.rad2deg(2 * torch.acos(told[0, 3].abs())))


@torch.inference_mode()
def looked_up(encoder: Encoder, data: Path, degrees: tuple[int, int, int]) -> list[int]:
    """The five views nearest to the first one's embedding, once the predictor has moved it."""
    images = read_sample(data, open_dataset(data), 1000).images()
    assert encoder.predictor is not None
    embeddings = encoder.predictor.embed(encoder(images))
    told = quaternion_from_euler(torch.deg2rad(torch.tensor([degrees], dtype=torch.float64))).float()
    moved = encoder.predictor.predict(embeddings[:1], told)
    return F.cosine_similarity(moved, embeddings).topk(5).indices.tolist()


def in_frame(folder: Path, width: int) -> dict[str, Any]:
    """What a page in a frame of some width says of itself."""
    wrapper = folder / f"wrapper{width}.html"
    wrapper.write_text(
        f'<iframe style="border: 0; width: {width}px; height: 900px" src="page.html"></iframe>',
        encoding="utf-8",
    )
    page = shown(wrapper)
    found = re.search(r"<title>seen (.*?)</title>", page)
    assert found, page[:500]
    return json.loads(found[1])
