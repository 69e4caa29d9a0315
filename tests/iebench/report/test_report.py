"""The report: what is on the page, and that a browser shows it."""

import base64
import html
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from chromium import needs_chromium, shown
from commands import call
from evaluations import PATHS, made_up_evaluation, write_evaluation
from iebench.evaluation.results import EvaluationFile, read_evaluation
from iebench.recipes.recipe import load_recipe
from iebench.report.contenders import contenders_of, untrained_of
from iebench.report.page import write_report
from iebench.report.plots import POINTS, line_style, training_panels
from iebench.report.showcase import EXTREMES
from iebench.report.subjects import distinct_titles, method_title, read_subjects
from iebench.report.tables import results_table
from iebench.report.wording import enumerate_words, minus
from iebench.training.run import Run
from picture_files import write_class_folders
from shards.errors import IebenchError, UsageError
from shards.reader import read_views
from shards.schema import open_dataset
from small_runs import untrained_run

TERMS = ("repr_loss_inv", "std_loss")


def write_run(folder: Path, data: Path, offset: float = 0.0, *overrides: str) -> Run:
    """An evaluated run as training and evaluation leave it, with numbers made up from ``offset``."""
    run = untrained_run(folder, data, load_recipe("demo", overrides))
    records = [
        {"step": step, "epoch": step / 2, "loss": 9 - step / 4 + offset, **dict.fromkeys(TERMS, 1 / step)}
        for step in range(1, 121)
    ]
    run.metrics_path.write_text("".join(json.dumps(record) + "\n" for record in records))
    write_evaluation(folder, made_up_evaluation(data, 0.61 + offset))
    return run


def without_predictor(folder: Path, data: Path) -> Run:
    """A run of an invariant method: no parts, nothing that steers."""
    run = untrained_run(folder, data, load_recipe("vicreg", ["method.projector=[16, 8]"]))
    run.metrics_path.write_text(json.dumps({"step": 1, "epoch": 1.0, "loss": 3.0}) + "\n")
    write_evaluation(folder, made_up_evaluation(data, parts=["all"]))
    return run


class Page(HTMLParser):
    """What a page refers to, its text and its headings."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                self.references.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def run(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on the toy dataset, not to be changed."""
    return write_run(tmp_path_factory.mktemp("report") / "first", toy_dataset)


@pytest.fixture(scope="module")
def other_run(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Another run on the same dataset, not to be changed."""
    return write_run(tmp_path_factory.mktemp("report") / "second", toy_dataset, -0.2, "training.epochs=7")


def classes_of_validation(data: Path) -> set[int]:
    return {view.metadata.label for view in read_views(data, open_dataset(data), "val")}


def report(out: Path, *runs: Run) -> Page:
    write_report([run.folder for run in runs], out)
    return Page(out)


@pytest.fixture(scope="module")
def page(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of one run."""
    return report(tmp_path_factory.mktemp("page") / "report.html", run)


@pytest.fixture(scope="module")
def page_of_two(run: Run, other_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of two runs, in a folder that was not there."""
    return report(tmp_path_factory.mktemp("page") / "new" / "folder" / "report.html", run, other_run)


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has no plots of published points, which take most of its time and which `page` has."""
    monkeypatch.setattr("iebench.report.page.tradeoff_panels", lambda *_: [])


def test_the_page_refers_to_nothing_outside_itself(page_of_two: Page):
    assert page_of_two.references
    assert all(reference.startswith(("data:image/jpeg;base64,", "#")) for reference in page_of_two.references)
    assert all(target.startswith("#") for target in re.findall(r"url\(['\"]?([^)]*)\)", page_of_two.source))
    assert not {"script", "link", "iframe", "object", "embed"} & set(page_of_two.tags)
    assert "@import" not in page_of_two.source
    assert "://" not in page_of_two.source


def test_every_number_is_on_the_page_with_its_interval_and_chance(
    run: Run, other_run: Run, page_of_two: Page
):
    contenders = contenders_of(read_subjects([run.folder, other_run.folder]))
    table = results_table([*contenders, *untrained_of(contenders)])
    assert table.columns == ("first", "second", "untrained")
    assert len(table.rows) == len(PATHS)
    for row in table.rows:
        for cell in row.cells:
            assert minus(cell.text) + minus(cell.interval) in page_of_two.text
        assert minus(row.chance) in page_of_two.text
    assert "0.610[0.600, 0.620]" not in page_of_two.text  # top-1 is a share
    assert "61.0%[60.0%, 62.0%]" in page_of_two.text


def test_every_view_is_on_the_page_as_it_is_stored(page: Page, toy_dataset: Path):
    stored = {
        base64.b64encode(view.jpeg).decode()
        for view in read_views(toy_dataset, open_dataset(toy_dataset), "val")
    }
    shown = {reference.partition(",")[2] for reference in page.references if reference.startswith("data:")}
    assert shown
    assert shown <= stored


def test_the_lead_names_classes_objects_views_and_image_size(page: Page, toy_dataset: Path):
    index = open_dataset(toy_dataset)
    text = page.text
    assert (
        f"on {index.splits['train'].objects} objects of 3 classes, with 4 views of each at 32 × 32 pixels"
        in text
    )
    assert f"evaluated on {index.splits['val'].objects} objects that it was not trained on" in text


@pytest.mark.usefixtures("without_plots")
def test_names_are_text_and_never_markup(toy_dataset: Path, tmp_path: Path):
    hostile = write_run(tmp_path / "<script>alert(1)<&script>\"'{{ 7 * 7 }}", toy_dataset)
    page = report(tmp_path / "report.html", hostile, write_run(tmp_path / "<img src=x>", toy_dataset, 0.1))
    assert "script" not in page.tags
    assert "x" not in page.references
    assert "<script>alert(1)<&script>\"'{{ 7 * 7 }}" in page.text


@pytest.mark.usefixtures("without_plots")
def test_without_its_dataset_the_page_says_what_is_left_out(toy_copy: Path, tmp_path: Path):
    run = write_run(tmp_path / "run", toy_copy)
    shutil.rmtree(toy_copy)
    page = report(tmp_path / "report.html", run)
    assert f"The dataset folder {toy_copy} is not there any more, so three things are left out" in page.text
    assert "img" not in page.tags
    assert "61.0%" in page.text


@pytest.mark.usefixtures("without_plots")
def test_a_broken_shard_costs_the_pictures_only(toy_copy: Path, tmp_path: Path):
    run = write_run(tmp_path / "run", toy_copy)
    next(toy_copy.glob("val-*.tar")).unlink()
    page = report(tmp_path / "report.html", run)
    assert f"The dataset folder {toy_copy} cannot be read (shard" in page.text
    assert "img" not in page.tags


@pytest.mark.usefixtures("without_plots")
def test_without_a_checkpoint_the_page_has_every_number_and_says_what_it_lacks(
    toy_dataset: Path, tmp_path: Path
):
    run = write_run(tmp_path / "run", toy_dataset)
    run.last_checkpoint.unlink()
    page = report(tmp_path / "report.html", run)
    assert "run has no checkpoint any more" in page.text
    assert "61.0%" in page.text
    assert 'class="question"' not in page.source
    assert 'class="sheet"' in page.source


def test_a_run_without_evaluation_is_refused_and_nothing_is_written(toy_dataset: Path, tmp_path: Path):
    run = write_run(tmp_path / "run", toy_dataset)
    shutil.rmtree(run.folder / "evaluations")
    with pytest.raises(UsageError, match="has not been evaluated"):
        write_report([run.folder], tmp_path / "new" / "report.html")
    assert not (tmp_path / "new").exists()


def test_an_evaluation_that_is_cut_short_is_refused(toy_dataset: Path, tmp_path: Path):
    run = write_run(tmp_path / "run", toy_dataset)
    EvaluationFile(run.folder, "views").path.write_text("{")
    with pytest.raises(IebenchError, match="evaluate again with --force"):
        write_report([run.folder], tmp_path / "report.html")


def test_two_runs_share_their_panels_and_their_questions(page_of_two: Page, toy_dataset: Path):
    panels = re.findall(r'<figure role="img".*?</figure>', page_of_two.source, flags=re.DOTALL)
    assert len(panels) == 2 + 1 + len(TERMS)  # both definitions of R² against top-1; the loss and its terms
    assert all("var(--series-1)" in panel and "var(--series-2)" in panel for panel in panels)
    classes = len(classes_of_validation(toy_dataset))
    questions = 2 * min(EXTREMES, classes) + classes  # the best, the worst, and one of each class
    assert page_of_two.source.count('class="question"') == questions + classes
    assert (
        page_of_two.source.count('class="answer"') == 2 * questions + 2 * 2 * classes
    )  # two runs, two parts each
    assert page_of_two.text.count("of 4") >= 2 * questions
    epochs = load_recipe("demo").training.epochs
    assert f"Their recipes differ in training.epochs ({epochs}, 7)." in page_of_two.text


@pytest.mark.slow
def test_many_runs_are_compared_a_run_a_row(toy_dataset: Path, tmp_path: Path):
    runs = [write_run(tmp_path / f"run{number}", toy_dataset, -number / 50) for number in range(14)]
    runs.append(without_predictor(tmp_path / "invariant", toy_dataset))
    page = report(tmp_path / "report.html", *runs)
    (table,) = re.findall(r'<table class="results overview">.*?</table>', page.source, flags=re.DOTALL)
    rows = re.findall(r'<th scope="row">.*?</th>(.*?)</tr>', table, flags=re.DOTALL)
    assert len(rows) == 15 + 3  # the untrained networks of two backbones, and chance
    assert "untrained, of run0 and 13 more" in page.text
    assert rows[14].count("–") == 2
    assert rows[17].count("33.3%") == 1
    assert "15 runs compared" in page.text
    assert "Of the first 4 runs." in page.text
    styles = {(style.color, style.dashes) for style in map(line_style, range(24))}
    assert len(styles) == 24


@pytest.mark.usefixtures("without_plots")
def test_a_run_without_predictor_is_shown_by_what_it_has(toy_dataset: Path, tmp_path: Path):
    page = report(tmp_path / "report.html", without_predictor(tmp_path / "invariant", toy_dataset))
    assert "so there is no MRR, H@k or PRE" in page.text
    assert "Rotation R²whole representation" in page.text
    assert "(equivariant)" not in page.text
    assert "Turned by the predictor" not in page.text
    assert "near it by the whole representation" in page.text


@pytest.mark.usefixtures("without_plots")
def test_photographs_are_shown_by_their_class_without_poses(tmp_path: Path):
    data = tmp_path / "photographs"
    packed = call("pack", "pictures", write_class_folders(tmp_path / "source", 14), data, "--workers", "1")
    assert packed.code == 0, packed.err
    run = untrained_run(tmp_path / "run", data, load_recipe("vicreg", ["method.projector=[16, 8]"]))
    write_evaluation(run.folder, made_up_evaluation(data, parts=["all"]))
    page = report(tmp_path / "report.html", run)
    assert "neighbors of the same class" in page.text
    assert "turned against it by" not in page.text
    assert 'class="latents"' not in page.source
    assert page.tags.count("img") > 0


@pytest.mark.usefixtures("without_plots")
def test_runs_on_different_datasets_are_told_apart(run: Run, toy_copy: Path, tmp_path: Path):
    index = json.loads((toy_copy / "dataset.json").read_text())
    (toy_copy / "dataset.json").write_text(json.dumps({**index, "seed": 99}))
    page = report(tmp_path / "report.html", run, write_run(tmp_path / "moved", toy_copy))
    assert "on 2 different datasets; their numbers cannot be compared" in page.text
    assert page.source.count('class="results"') == 2


@pytest.mark.usefixtures("without_plots")
def test_evaluations_of_one_run_stand_side_by_side(toy_dataset: Path, tmp_path: Path):
    run = write_run(tmp_path / "run", toy_dataset)
    first = read_evaluation(run.folder)
    settings = first.settings.model_copy(update={"protocol": "thorough"})
    write_evaluation(run.folder, replace(first, name="thorough", settings=settings))
    page = report(tmp_path / "report.html", run)
    (table,) = re.findall(r'<table class="results overview">.*?</table>', page.source, flags=re.DOTALL)
    assert "run · views" in table
    assert "run · thorough" in table
    assert "Those of run · views follow the published protocol" in page.text
    assert "Those of run · thorough follow the thorough protocol" in page.text


@pytest.mark.usefixtures("without_plots")
def test_an_encoder_that_was_not_trained_here_has_a_report(toy_dataset: Path, tmp_path: Path):
    write_evaluation(tmp_path / "resnet50", made_up_evaluation(toy_dataset, parts=["all"]))
    write_report([tmp_path / "resnet50"], tmp_path / "report.html")
    text = Page(tmp_path / "report.html").text
    assert "was evaluated on" in text
    assert "was trained for" not in text
    assert "There is no curve" not in text


def test_published_numbers_stand_beside_ours_and_say_that_the_dataset_differs(page: Page):
    text = page.text
    assert "Beside the published numbers" in text
    assert "are not 3DIEBench’s 10,552 of 55 with 50" in text
    assert "EquiCaps" in text


@pytest.mark.usefixtures("without_plots")
def test_a_dataset_that_changed_since_training_is_pointed_out(toy_copy: Path, tmp_path: Path):
    run = write_run(tmp_path / "run", toy_copy)
    index = json.loads((toy_copy / "dataset.json").read_text())
    (toy_copy / "dataset.json").write_text(json.dumps({**index, "seed": 99}))
    assert "it has changed since" in report(tmp_path / "report.html", run).text


@pytest.mark.usefixtures("without_plots")
def test_a_run_without_curve_says_so(toy_dataset: Path, tmp_path: Path):
    run = write_run(tmp_path / "run", toy_dataset)
    run.metrics_path.unlink()
    assert "There is no curve of run" in report(tmp_path / "report.html", run).text


def test_the_same_runs_give_the_same_bytes(run: Run, other_run: Run, page_of_two: Page, tmp_path: Path):
    assert report(tmp_path / "again.html", run, other_run).source == page_of_two.source


def test_a_long_curve_is_thinned_to_its_means():
    records = [{"step": step, "epoch": float(step), "loss": float(step % 2)} for step in range(40 * POINTS)]
    (panel,) = training_panels([("run", records)], {})
    assert "from 0.5 at epoch" in panel.description
    assert len(panel.svg) < 40 * POINTS


def test_folders_of_one_name_get_titles_of_their_own():
    assert distinct_titles([Path("/a/run"), Path("/b/run")]) == ["a/run", "b/run"]
    assert distinct_titles([Path("/a/one"), Path("/a/two")]) == ["one", "two"]
    assert distinct_titles([Path("/run"), Path("/a/run")]) == ["/run", "a/run"]


def test_words_are_enumerated_as_in_speech():
    assert [enumerate_words(words) for words in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.browser
@needs_chromium
@pytest.mark.parametrize("width", [420, 1100])
def test_a_browser_loads_every_picture_and_nothing_is_wider_than_the_screen(
    width: int, page_of_two: Page, tmp_path: Path
):
    seen = in_browser(page_of_two.source, width, tmp_path)
    assert seen["images"] == page_of_two.tags.count("img") > 0
    assert seen["broken"] == 0
    assert seen["content"] == seen["width"] <= width


def in_browser(source: str, width: int, folder: Path) -> dict[str, int]:
    """Shows a page in a frame of ``width`` pixels and measures it."""
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f"""<script>
        function measure(frame) {{
          const page = frame.contentDocument;
          page.querySelectorAll("details").forEach((details) => details.open = true);
          document.title = "measured " + JSON.stringify({{
            images: page.images.length,
            broken: [...page.images].filter((image) => !image.complete || image.naturalWidth === 0).length,
            width: page.documentElement.clientWidth,
            content: page.documentElement.scrollWidth,
          }});
        }}
        </script>
        <iframe style="border: 0; width: {width}px; height: 900px" onload="measure(this)"
          srcdoc="{html.escape(source)}"></iframe>""",
        encoding="utf-8",
    )
    measured = re.search(r"<title>measured (.*?)</title>", shown(wrapper))
    assert measured
    return json.loads(html.unescape(measured[1]))


def test_a_run_of_a_method_that_is_not_installed_here_is_called_by_its_registered_name():
    assert method_title("sie") == "SIE"
    assert method_title("of_somebody_else") == "of somebody else"
