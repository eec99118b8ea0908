"""`shine analyze`: findings on photos as a table, as JSON, or drawn into the photos."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from bentos.cli import sources
from bentos.cli.command import (
    Command,
    CommandError,
    json_output,
    overwrite_option,
    refuse_existing,
    unwritable,
)
from bentos.cli.exit_codes import DONE, FAILED, SOME_FAILED, THERE, WEIGHTS
from bentos.cli.photos import STDIN, Photo, find
from bentos.cli.progress import counted
from bentos.cli.sources import MODEL_UNAVAILABLE, Result, Wanted
from bentos.cli.text import printable

INCLUDES = ("outlines", "maps")
MEASURED = ("acne", "wrinkles", "redness", "pigmentation", "shine", "texture")
COLUMNS = ("photo", "source", "reason", "acne_count", "acne_severity", *MEASURED, "quality", "issues", "error")
HEADINGS = ("wrinkles", "red", "pigm.", "shine", "texture", "quality")  # in a table that fits into 80 columns
LONGEST_NAME = 4096  # characters
PNG = ".png"


@click.command(cls=Command)
@click.argument("photos", nargs=-1, required=True, type=click.Path(), metavar="FILE|FOLDER|- …")
@json_output
@click.option(
    "--include",
    multiple=True,
    type=click.Choice(INCLUDES),
    help="Add zones as polygons, or heat maps, to the JSON; may be repeated.",
)
@click.option("--overlay", type=click.Path(), metavar="PLACE", help="Draw: a file that ends in .png, or a folder.")
@overwrite_option
@sources.source_options
def analyze(
    photos: tuple[str, ...],
    as_json: bool,
    include: tuple[str, ...],
    overlay: str | None,
    overwrite: bool,
    server: str | None,
    weights: str | None,
    require_model: bool,
    min_confidence: float | None,
) -> int:
    """Findings on photos: JPEG, PNG, WebP, HEIC and AVIF, judged by content.

    Of a folder all photos in it and below are taken; `-` reads one photo from standard input. A score is 0 (none) to
    100 (worst seen); a field is empty where the photo does not allow to judge it, and the JSON says why.

    \b
    shine analyze face.jpg                          # a table; in a pipe plain text with tabs
    shine analyze photos/ other.heic                # folders with all below them, and files
    cat face.jpg | shine analyze - --json           # JSON: a list, one Analysis or error a photo, by its "photo"
    shine analyze photos/ --json --include outlines
    shine analyze face.jpg --overlay out.png        # the findings drawn into the photo
    shine analyze photos/ --overlay drawn/          # a picture a photo, in the same sub-folders
    shine analyze face.jpg --weights /srv/weights --require-model
    shine analyze photos/ --server http://localhost:5000

    Where the weights cannot be used the heuristics answer: a line on standard error says so, and so does `source` of
    each photo; --require-model refuses that.

    Exit codes: 0 done; 1 some photos failed, and the error stands in their place; 2 all failed, or wrong usage; 3 the
    overlay exists; 4 the weights cannot be used and --require-model is given; 130 interrupted.
    """
    if include and not as_json:
        raise CommandError("--include adds to the JSON; add --json.")
    found = find(photos)
    places = {} if overlay is None else _places(overlay, found, photos, overwrite)
    wanted = Wanted(require_model, min_confidence, include, None if overlay is None else {})
    tally: Counter[str] = Counter()
    with sources.open_source(server, weights, wanted) as source:
        shown = counted(_kept(source.results(found), places, tally), len(found), "Photos")
        print_json(shown) if as_json else print_table(shown)
    return exit_code(tally)


def exit_code(tally: Counter[str]) -> int:
    """The exit code by the number of photos that were answered (""), and that failed by code."""
    if tally[MODEL_UNAVAILABLE]:
        return WEIGHTS
    failed = tally.total() - tally[""]
    return DONE if not failed else SOME_FAILED if tally[""] else FAILED


def _kept(results: Iterable[Result], places: dict[Photo, Path], tally: Counter[str]) -> Iterator[Result]:
    """The same results; their pictures are written and they are counted by code of error."""
    from bentos.skin.files import write_whole

    for result in results:
        tally["" if result.error is None else result.error["code"]] += 1
        if result.picture is not None:
            place = places[result.photo]
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                write_whole(place, result.picture)
            except OSError as error:
                raise unwritable(place, error) from None
        yield result


def _places(overlay: str, photos: list[Photo], arguments: tuple[str, ...], overwrite: bool) -> dict[Photo, Path]:
    """Where the picture of each photo is written.

    Raises:
        CommandError: one exists or is a photo that is read, or a file is named for several photos.
    """
    if overlay == STDIN:
        raise CommandError(f"--overlay names a file that ends in {PNG}, or a folder.")
    place = Path(overlay)
    _refuse_inputs(place, photos)
    if not overlay.endswith(os.sep) and not place.is_dir() and (place.exists() or place.suffix):
        if len(arguments) > 1 or photos[0].folder is not None:
            raise CommandError(f"{overlay} is a file, and there may be several photos; name a folder after --overlay.")
        if place.suffix.lower() != PNG:
            raise CommandError(f"The picture is a PNG; name a file that ends in {PNG} or a folder, not {overlay}.")
        refuse_existing(place, overwrite)
        return {photos[0]: place}
    return _in_folder(place, photos, overwrite)


def _refuse_inputs(overlay: Path, photos: list[Photo]) -> None:
    """Refuse to write where photos are read: they would be lost, or their drawings be photos of the next run."""
    place = _real(overlay)
    for folder in dict.fromkeys(photo.folder for photo in photos if photo.folder is not None):
        if place.is_relative_to(_real(folder)):
            raise CommandError(f"{overlay} lies in {folder}, whose photos are read; name another place.", THERE)
    for photo in photos:
        if photo.path is not None and _real(photo.path) in (place, _place(place, photo)):
            raise CommandError(f"{photo.path} would be replaced by its picture; name another place.", THERE)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # which `Path.resolve` refuses of a link to itself


def _in_folder(overlay: Path, photos: list[Photo], overwrite: bool) -> dict[Photo, Path]:
    places: dict[Photo, Path] = {}
    taken: set[Path] = set()
    for photo in photos:
        place = _place(overlay, photo)
        number = 1
        while place in taken:  # a.jpg beside a.png, or files of one name from several folders
            number += 1
            place = _place(overlay, photo, f"-{number}")
        taken.add(place)
        places[photo] = place
    there = [place for place in places.values() if place.exists()]
    if there and not overwrite:
        more = f" and {len(there) - 1:,} others exist" if len(there) > 1 else " exists"
        raise CommandError(f"{there[0]}{more}; name another folder, or add --overwrite.", THERE)
    return places


def _place(overlay: Path, photo: Photo, suffix: str = "") -> Path:
    if photo.path is None:
        name = Path("stdin")
    else:
        name = photo.path.relative_to(photo.folder) if photo.folder else Path(photo.path.name)
    return overlay / name.parent / f"{name.stem}{suffix}{PNG}"


def print_json(results: Iterable[Result]) -> None:
    """Print a list, one item a line, each as it comes; in ASCII, so that any pipe accepts it."""
    separator = "[\n"
    try:
        for result in results:
            print(separator + json.dumps(result.as_json()), end="", flush=True)
            separator = ",\n"
    finally:  # what was interrupted is a list too, a shorter one
        if not isinstance(sys.exception(), BrokenPipeError):
            print("\n]" if separator == ",\n" else "[]")


def print_table(results: Iterable[Result]) -> None:
    """Print a table at a terminal, else lines with tabs, each as it comes."""
    if sys.stdout.isatty():
        rows: list[dict[str, str]] = []
        try:
            rows.extend(row(result) for result in results)
        finally:  # what was interrupted is a table too, a shorter one
            if rows:
                _print_rich(rows)
        return
    print("\t".join(COLUMNS))
    for result in results:
        print("\t".join(row(result).values()), flush=True)


def row(result: Result) -> dict[str, str]:
    """One photo's fields by COLUMNS, as text; empty where there is nothing to say."""
    fields = dict.fromkeys(COLUMNS, "")
    fields["photo"] = printable(result.photo.name, LONGEST_NAME)
    if result.error is not None:
        fields["error"] = printable(f"{result.error['code']}: {result.error['message']}", LONGEST_NAME)
        return fields
    analysis: dict[str, Any] = result.analysis or {}
    concerns = analysis["concerns"]
    values = {
        "source": analysis["source"],
        "reason": analysis["reason"],
        "acne_count": concerns["acne"]["count"],
        "acne_severity": concerns["acne"]["severity"],
        **{name: concerns[name]["score"] for name in MEASURED},
        "quality": analysis["quality"]["score"],
        "issues": " ".join(analysis["quality"]["issues"]),
    }
    return fields | {name: printable(str(value)) for name, value in values.items() if value is not None}


def _print_rich(rows: list[dict[str, str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("photo", overflow="fold", min_width=20)
    table.add_column("acne", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for fields in rows:
        lesions = " ".join(filter(None, (fields["acne_count"], fields["acne_severity"].replace("_", " "))))
        marked = f"heuristic: {fields['reason']}" if fields["reason"] else ""
        said = fields["error"].partition(": ")[2]  # codes are for programs
        remarks = said or ", ".join(filter(None, (marked, fields["issues"].replace(" ", ", "))))
        style = "red" if fields["error"] else "yellow" if marked else "dim"
        photo = Text(fields["photo"])
        if remarks:
            photo.append(f"\n  {remarks}", style)
        unseen = "" if fields["error"] else "–"
        scores = [fields[name] or unseen for name in (*MEASURED[1:], "quality")]
        table.add_row(photo, lesions or unseen, *scores)
    Console().print(table)
