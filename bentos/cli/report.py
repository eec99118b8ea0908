"""`shine report`: one HTML page on all photos of a folder, which loads nothing from anywhere."""

import base64
import hashlib
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import click

from bentos.cli import sources
from bentos.cli.analyze import MEASURED, exit_code, row
from bentos.cli.command import Command, CommandError, overwrite_option, refuse_existing, unwritable
from bentos.cli.photos import find
from bentos.cli.progress import counted
from bentos.cli.sources import Result, Wanted
from bentos.cli.text import number_of

PICTURE_WIDTH = 480  # px
JPEG_QUALITY = 80
BINS = 10  # of a distribution of scores
SCORE_MAX = 100
SEVERITIES = ("clear", "mild", "moderate", "severe", "very_severe")  # the contract's, in order
BARS_WIDTH, BARS_HEIGHT, BAR_GAP = 300, 90, 4  # of a drawing, in its own units
TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Bar:
    """A bar of a distribution, in the drawing's units.

    Attributes:
        label: below it.
        number: of photos.
        x: of its left side.
        height: of the bar.
    """

    label: str
    number: int
    x: float
    height: float


@dataclass(frozen=True)
class Distribution:
    """How many photos have which value.

    Attributes:
        title: what is distributed.
        summary: in words.
        bars: drawn beside each other.
    """

    title: str
    summary: str
    bars: list[Bar]

    @property
    def bar(self) -> float:
        """Width of a bar."""
        return BARS_WIDTH / len(self.bars) - BAR_GAP


@click.command(cls=Command)
@click.argument("photos", nargs=-1, required=True, type=click.Path(), metavar="FOLDER …")
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The page to write.")
@overwrite_option
@sources.source_options
def report(
    photos: tuple[str, ...],
    out: Path,
    overwrite: bool,
    server: str | None,
    weights: str | None,
    require_model: bool,
    min_confidence: float | None,
) -> int:
    """Write one HTML page on all photos of folders.

    Each photo with its findings drawn in, in a table that can be sorted, and how scores are distributed.

    The page holds everything, its pictures too, and loads nothing: it can be kept, or sent to those who may see the
    photos. It appears as a whole or not at all.

    \b
    shine report photos/ --out report.html
    shine report photos/ --out report.html --overwrite --server http://localhost:5000

    Exit codes: 0 done; 1 some photos failed, and the page says so; 2 nothing was written, or all failed; 3 the page
    exists; 4 the weights cannot be used and --require-model is given; 130 interrupted, nothing was written.
    """
    if str(out) == "-":
        raise CommandError("--out names the file that the page becomes, such as report.html.")
    refuse_existing(out, overwrite)
    found = find(photos)
    wanted = Wanted(require_model, min_confidence, picture={"width": PICTURE_WIDTH, "legend": False})
    with sources.open_source(server, weights, wanted) as source:
        rows = [_shown(result) for result in counted(source.results(found), len(found), "Photos")]
    tally = Counter("" if result.error is None else str(result.error["code"]) for result, _ in rows)
    code = exit_code(tally)
    if not tally[""]:
        error = rows[0][0].error or {}
        first = f"{error['message']} {error['hint']}"
        raise CommandError(f"All failed ({number_of(len(rows), 'photo')}); the first: {first}", code)
    from bentos.skin.files import write_whole

    try:
        write_whole(out, page(rows).encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise unwritable(out, error) from None
    print(f"{number_of(len(rows), 'photo')}, {len(rows) - tally['']:,} failed: {out}")
    return code


def _shown(result: Result) -> tuple[Result, str]:
    """A result without its picture, and that as a data: URL, smaller; "" where there is none."""
    from PIL import Image

    if result.picture is None:
        return result, ""
    with Image.open(BytesIO(result.picture)) as picture:
        buffer = BytesIO()
        picture.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    url = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Result(result.photo, result.analysis, result.error), url


def page(rows: Sequence[tuple[Result, str]]) -> str:
    """The page.

    Args:
        rows: of each photo its result, and its picture as a data: URL or "".
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["csp_hash"] = _csp_hash
    analyses = [result.analysis for result, _ in rows if result.analysis is not None]
    return environment.get_template(TEMPLATE).render(
        rows=[{**row(result), "picture": picture, "advice": _advice(result)} for result, picture in rows],
        measured=MEASURED,
        failed=len(rows) - len(analyses),
        models=sorted({_model(analysis) for analysis in analyses}),
        degraded=Counter(analysis["reason"] for analysis in analyses if analysis["degraded"]),
        distributions=distributions(analyses),
        bars_height=BARS_HEIGHT,
        bars_width=BARS_WIDTH,
        notice=next((analysis["notice"] for analysis in analyses), ""),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _csp_hash(script: str) -> str:
    """A script's source for a Content-Security-Policy: this script runs, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode()}'"


def _advice(result: Result) -> list[str]:
    if result.error is not None:
        return [result.error["hint"]]
    return list((result.analysis or {})["advice"])


def _model(analysis: dict[str, Any]) -> str:
    model = analysis["model"]
    return "heuristics" if model is None else f"{model['name']} {model['version']} ({model['sha256'][:12]})"


def distributions(analyses: Sequence[dict[str, Any]]) -> list[Distribution]:
    """How severities, scores and quality are distributed; of what was judged.

    Args:
        analyses: as JSON.
    """
    severities = Counter(analysis["concerns"]["acne"]["severity"] for analysis in analyses)
    judged = severities.total() - severities[None]
    labels = [(name.replace("_", " "), severities[name]) for name in SEVERITIES]
    result = [Distribution("acne severity", f"{judged} judged", _bars(labels))]
    for name in MEASURED:
        result.append(_of_scores(name, [analysis["concerns"][name]["score"] for analysis in analyses]))
    quality = [analysis["quality"]["score"] for analysis in analyses]
    result.append(_of_scores("quality, per cent", [None if score is None else 100 * score for score in quality]))
    return result


def _of_scores(title: str, scores: Iterable[float | None]) -> Distribution:
    known = [score for score in scores if score is not None]
    numbers = Counter(min(int(score * BINS / SCORE_MAX), BINS - 1) for score in known)
    labels = [(str(place * SCORE_MAX // BINS), numbers[place]) for place in range(BINS)]
    summary = f"{len(known)} judged"
    if known:
        summary += f", median {statistics.median(known):.0f}, {min(known):.0f} to {max(known):.0f}"
    return Distribution(title, summary, _bars(labels))


def _bars(labels: Sequence[tuple[str, int]]) -> list[Bar]:
    most = max([number for _, number in labels] + [1])
    return [
        Bar(label, number, place * BARS_WIDTH / len(labels), round(BARS_HEIGHT * number / most, 1))
        for place, (label, number) in enumerate(labels)
    ]
