"""The two tables of a batch: findings and failures. Their columns stand here, and nowhere else."""

import io
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bentos.batch.photos import Photo
from bentos.skin.schema import Analysis, ColourZones, Concerns, WrinkleZones

VERSION = 1  # of the columns; a run that was begun with others is not resumed
TEXT, NUMBER, WHOLE, FLAG = pa.string(), pa.float64(), pa.int32(), pa.bool_()
NOT_STORED = frozenset({"request_id", "timing_ms"})  # of an Analysis: they differ from run to run

# Which photo a row is about.
_PHOTO = [
    pa.field("path", TEXT, nullable=False),  # bytes that are no UTF-8 as \xff
    pa.field("path_bytes", pa.binary()),  # the exact name, only where it is no UTF-8
    pa.field("id", TEXT),  # of the input table
    pa.field("sha256", TEXT),  # of the file
]


def _columns() -> Iterable[tuple[str, pa.DataType, str]]:
    """Each column: its name, its type, and where its value stands in an Analysis."""
    yield from (
        ("source", TEXT, "source"),
        ("degraded", FLAG, "degraded"),
        ("reason", TEXT, "reason"),
        ("model_name", TEXT, "model.name"),
        ("model_version", TEXT, "model.version"),
        ("model_sha256", TEXT, "model.sha256"),
        ("image_width", WHOLE, "image.width"),
        ("image_height", WHOLE, "image.height"),
        ("image_format", TEXT, "image.format"),
        ("image_turned_degrees", WHOLE, "image.turned_degrees"),
        ("quality_score", NUMBER, "quality.score"),
        ("quality_issues", pa.list_(TEXT), "quality.issues"),
        ("face_x", NUMBER, "face.box.0"),
        ("face_y", NUMBER, "face.box.1"),
        ("face_width", NUMBER, "face.box.2"),
        ("face_height", NUMBER, "face.box.3"),
        ("face_confidence", NUMBER, "face.confidence"),
        ("face_yaw", WHOLE, "face.pose.yaw"),
        ("face_pitch", WHOLE, "face.pose.pitch"),
        ("face_roll", WHOLE, "face.pose.roll"),
        ("tone_ita_degrees", NUMBER, "tone.ita_degrees"),
        ("tone_group", TEXT, "tone.group"),
    )
    zones = {"acne": (), "wrinkles": tuple(WrinkleZones.model_fields)}
    for concern in Concerns.model_fields:
        place = f"concerns.{concern}"
        yield f"{concern}_score", WHOLE, f"{place}.score"
        yield f"{concern}_reason", TEXT, f"{place}.reason"
        if concern == "acne":
            yield "acne_severity", TEXT, f"{place}.severity"
            yield "acne_count", WHOLE, f"{place}.count"
        for zone in zones.get(concern, tuple(ColourZones.model_fields)):
            yield f"{concern}_{zone}", NUMBER, f"{place}.zones.{zone}"
        yield f"{concern}_confidence", NUMBER, f"{place}.confidence"
        yield f"{concern}_source", TEXT, f"{place}.source"


_PLACES = {name: place.split(".") for name, _, place in _columns()}
FINDINGS = pa.schema(
    [
        *_PHOTO,
        *(pa.field(name, kind) for name, kind, _ in _columns()),
        pa.field("analysis", TEXT, nullable=False),  # the whole Analysis as JSON, without NOT_STORED
    ]
)
FAILURES = pa.schema(
    [
        *_PHOTO,
        pa.field("code", TEXT, nullable=False),
        pa.field("sentence", TEXT, nullable=False),
        pa.field("hint", TEXT, nullable=False),
    ]
)


def finding(photo: Photo, sha256: str, analysis: Analysis) -> dict[str, Any]:
    """The row of a photo that was analysed."""
    values = {name: _value(analysis, place) for name, place in _PLACES.items()}
    return {**_photo(photo, sha256), **values, "analysis": analysis.model_dump_json(exclude=set(NOT_STORED))}


def failure(photo: Photo, sha256: str | None, code: str, sentence: str, hint: str) -> dict[str, Any]:
    """The row of a photo that was not.

    Args:
        photo: which.
        sha256: of its file; None where it was not read.
        code: of the contract, or one of docs/batch.md.
        sentence: what was wrong.
        hint: what would be right.
    """
    return {**_photo(photo, sha256), "code": code, "sentence": sentence, "hint": hint}


def table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of FINDINGS or FAILURES."""
    return pa.Table.from_pylist(rows, schema)


def encoded(tables: list[pa.Table], schema: pa.Schema, metadata: Mapping[str, str]) -> bytes:
    """Tables of the same schema as one Parquet file.

    Args:
        tables: in the order of their rows.
        schema: of all.
        metadata: of the file.
    """
    whole = pa.concat_tables([schema.empty_table(), *tables]).replace_schema_metadata(dict(metadata))
    file = io.BytesIO()
    pq.write_table(whole, file, compression="zstd")
    return file.getvalue()


def rows_in(tail: bytes) -> int:
    """Rows of a Parquet file.

    Args:
        tail: its end, with the footer.

    Raises:
        Exception: it is damaged, or no Parquet; of which class depends on the damage.
    """
    return int(pq.read_metadata(io.BytesIO(tail)).num_rows)


def _photo(photo: Photo, sha256: str | None) -> dict[str, Any]:
    exact = photo.path.encode("utf-8", "surrogateescape")
    shown = exact.decode("utf-8", "backslashreplace")
    return {
        "path": shown,
        "path_bytes": None if shown == photo.path else exact,
        "id": photo.id,
        "sha256": sha256,
    }


def _value(analysis: Analysis, place: list[str]) -> Any:
    value: Any = analysis
    for name in place:
        if value is None:
            return None
        value = value[int(name)] if name.isdecimal() else getattr(value, name)
    return value
