"""The comparison of methods in Markdown: a table with intervals, and what its paired differences say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from iebench.evaluation.results import ScoreKey
from iebench.methods import find_method
from iebench.report.contenders import Contender, contenders_of, untrained_beside, untrained_of
from iebench.report.subjects import read_subjects
from iebench.report.tables import KEY_NUMBERS, Cell, Overview, metric_at, overview, row_of
from methods_search import Choice
from shards.files import write_text
from shards.schema import DatasetIndex

BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"
ABLATIONS = {"sie_no_variance": "sie"}
"""Recipes that are compared with the recipe from which they leave something out, and with no other."""
ROTCOLOR = "_rotcolor"
"""End of the names of recipes that are told color beside rotation."""

PUBLISHED = (
    "Published, on 3DIEBench, for the scale: SIE rotation R² 0.73 (pooled), after 168 million image views; EquiCaps 0.78 "
    "(pooled) with top-1 83.24%. On another dataset and size no difference to them means anything."
)

Verdict = Literal["holds", "does not hold", "not told apart"]
"""Whether it is as the papers find; only what the interval excludes is called a difference."""


class Finding(NamedTuple):
    """One comparison of two numbers, which are printed with the interval that decides."""

    who: str
    numbers: str
    verdict: Verdict


def contenders_by_recipe(folders: dict[str, list[Path]]) -> dict[str, Contender]:
    """The runs of each recipe as one contender; all are evaluated on the same objects."""
    contenders = {}
    for name, found in folders.items():
        (contender,) = contenders_of(read_subjects(found))
        contenders[name] = replace(contender, title=name)
    return contenders


@dataclass(frozen=True)
class Tuning:
    """The search: the views that a trial saw, the objects that scored it, and the choice of each recipe, if any."""

    image_views: int
    objects: int
    choices: dict[str, Choice]


def section(contenders: dict[str, Contender], index: DatasetIndex, image_views: int, tuning: Tuning) -> str:
    """The Markdown of one comparison: table, expectations, published figures."""
    any_one = next(iter(contenders.values()))
    evaluation = any_one.subjects[0].evaluation
    test, fit = evaluation.test, evaluation.fit
    assert fit is not None
    seeds = max(len(contender.subjects) for contender in contenders.values())
    table = overview([*contenders.values(), *untrained_of(list(contenders.values()))])
    checked = "\n".join(summary(claim, found) for claim, found in expectations(contenders).items() if found)
    return f"""## Methods compared
{image_views:,} image views for each recipe and seed ({seeds} each), on {fit.objects:,} objects of {len(index.classes)} \
classes with {test.views_per_object} views of {index.image_size} px each; evaluated on {test.objects:,} other objects, by \
probes of the whole representation. {_search_sentence(tuning)} In brackets 95 % intervals over objects (and seeds, where \
there are several); bold are the best and what paired differences do not tell apart from it, among predictors that are \
told the same.

{markdown(table, tuning.choices)}

What the papers find and what training adds, at this size. A difference is called one if the 95 % interval of the \
paired difference, in brackets, excludes zero:

{checked or "No two of the recipes that are compared in the papers are done."}

{PUBLISHED}
"""


def _search_sentence(tuning: Tuning) -> str:
    if not tuning.choices:
        return "Nothing was searched: all have the values of the recipe `demo`."
    trials = sorted({len(choice.trials) for choice in tuning.choices.values()})
    return (
        f"Each recipe had the same search on {tuning.objects:,} objects of a third split: three learning rates and, at the "
        f"best, three values of its own weight where it has one ({' or '.join(map(str, trials))} trainings of "
        f"{tuning.image_views:,} image views, one seed), by top-1 plus rotation R² of the online heads."
    )


def markdown(table: Overview, choices: dict[str, Choice]) -> str:
    """The overview as a Markdown table, with the values that the search chose."""
    rows = []
    for title, cells in table.rows:
        chosen = [_chosen(choices[title]) if title in choices else "–"] if choices else []
        rows.append((f"`{title}`", [*map(_cell, cells), *chosen]))
    rows.append(("chance", [*table.chance, *([""] if choices else [])]))
    return table_text("", [*table.headers, *(["chosen"] if choices else [])], rows)


def _chosen(choice: Choice) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in choice.best.values.items())


def table_text(corner: str, headers: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A Markdown table of rows that are a title and its cells."""
    first = f"| {corner}".rstrip() + " | " + " | ".join(headers) + " |"
    lines = (f"| {title} | " + " | ".join(cells) + " |" for title, cells in rows)
    return "\n".join([first, "|---" * (len(headers) + 1) + "|", *lines])


def number_text(contender: Contender, key: ScoreKey) -> str:
    """A number with its interval and spread; a dash where there is none."""
    return _cell(row_of(metric_at(key), [contender]).cells[0])


def _cell(cell: Cell) -> str:
    value = f"**{cell.text}**" if cell.is_best else cell.text
    return " ".join(text for text in (value, cell.interval, cell.spread) if text)


def expectations(contenders: dict[str, Contender]) -> dict[str, list[Finding]]:
    """What the papers find, each with the comparisons that bear on it."""
    told = [(name, name.removesuffix(ROTCOLOR)) for name in contenders if name.endswith(ROTCOLOR)]
    methods = {
        name: contender.subjects[0].recipe["method"]["name"]
        for name, contender in contenders.items()
        if not name.endswith(ROTCOLOR) and name not in ABLATIONS
    }
    methods = {name: method for name, method in methods.items() if method != "supervised"}
    pairs = [(name, find_method(method).method.baseline) for name, method in methods.items()]
    untrained = untrained_of(list(contenders.values()))
    beside = {name: untrained_beside(contender, untrained) for name, contender in contenders.items()}
    beginnings = [(name, item.title) for name, item in beside.items() if item]
    everyone = contenders | {item.title: item for item in untrained}

    def over(header: str, pairs: Iterable[tuple[str, str]]) -> list[Finding]:
        return compare(header, everyone, pairs)

    return {
        "Equivariant methods hold more rotation than invariant ones": over("rotation R²", pairs),
        "Their predictors retrieve better than chance (invariant methods have none)": against_chance(
            contenders
        ),
        "Invariant methods classify better": over("top-1", ((base, name) for name, base in pairs)),
        "Those that are told color hold more of it": over("color R²", told),
        "The variance of predictions keeps up SIE's rotation": over(
            "rotation R²", ((base, name) for name, base in ABLATIONS.items())
        ),
        "Supervision by classes is an upper bound of classification": over(
            "top-1", (("supervised", name) for name in methods)
        ),
        "Supervision by rotation is an upper bound of rotation": over(
            "rotation R²", (("supervised_rotation", name) for name in methods)
        ),
        "Training adds rotation to what an untrained network holds": over("rotation R²", beginnings),
        "Training without colors loses them": over(
            "color R²", ((title, name) for name, title in beginnings if not name.endswith(ROTCOLOR))
        ),
    }


def compare(header: str, contenders: dict[str, Contender], pairs: Iterable[tuple[str, str]]) -> list[Finding]:
    """Whether the first of each pair has more of something than the second, where both were run."""
    path = KEY_NUMBERS[header]
    show = metric_at(path).show
    found = []
    for more, less in pairs:
        if more in contenders and less in contenders:
            difference = contenders[more].difference(contenders[less], path)
            if difference is not None and difference.low is not None and difference.high is not None:
                numbers = f"{show(difference.value)} [{show(difference.low)}, {show(difference.high)}]"
                verdict = _verdict(difference.low, difference.high, 0.0)
                found.append(Finding(f"{more} over {less}", numbers, verdict))
    return found


def against_chance(contenders: dict[str, Contender]) -> list[Finding]:
    """Whether the MRR of each method that has one is above that of random ranks, by its interval over objects."""
    path = KEY_NUMBERS["MRR"]
    show = metric_at(path).show
    found = []
    for name, contender in contenders.items():
        score = contender.summary(path)
        if score and score.low is not None and score.high is not None and score.chance is not None:
            numbers = (
                f"{show(score.mean)} [{show(score.low)}, {show(score.high)}] against {show(score.chance)}"
            )
            found.append(Finding(name, numbers, _verdict(score.low, score.high, score.chance)))
    return found


def _verdict(low: float, high: float, reference: float) -> Verdict:
    if low > reference:
        return "holds"
    return "does not hold" if high < reference else "not told apart"


def summary(claim: str, found: list[Finding]) -> str:
    """How often a claim holds, with the numbers of every comparison."""
    counts = {verdict: [item for item in found if item.verdict == verdict] for verdict in get_args(Verdict)}
    lines = [
        f"- {claim}: " + ", ".join(f"{verdict} in {len(items)}" for verdict, items in counts.items()) + "."
    ]
    for verdict, items in counts.items():
        if items:
            listed = "; ".join(f"{item.who} ({item.numbers})" for item in items)
            lines.append(f"  - {verdict.capitalize()}: {listed}")
    return "\n".join(lines)


def put_section(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Puts the section between its marks, or at the end of the file."""
    old = path.read_text(encoding="utf-8") if path.is_file() else "# What was measured\n"
    before, _, rest = old.partition(begin)
    after = rest.partition(end)[2]
    write_text(path, f"{before.rstrip()}\n\n{begin}\n{text}{end}\n{after.lstrip()}")
