"""The columns, and how a photo's findings become a row."""

from typing import Any

import pyarrow as pa

from bentos.batch import tables
from bentos.batch.photos import Photo
from bentos.skin.schema import EXAMPLE_ANALYSIS, Analysis
from tests.server import ROOT

MODEL = {"name": "face-skin", "version": "2.0.0", "sha256": "0" * 64}
ANALYSIS = Analysis.model_validate(EXAMPLE_ANALYSIS | {"source": "model", "reason": None, "model": MODEL})
# What a column would not help with: it is the same for all rows, differs in its length, or is derived.
IN_THE_JSON_ALONE = {"schema_version", "notice", "advice", "tone.calibrated", "concerns.acne.boxes", "face.box"} | {
    f"concerns.{concern}.unseen" for concern in ("wrinkles", "redness", "pigmentation", "shine", "texture")
}


def leaves(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict) and name != "unseen":
            found |= leaves(item, f"{before}{name}.")
        else:
            found[f"{before}{name}"] = item
    return found


def test_every_finding_has_a_column_with_its_value() -> None:
    row = tables.finding(Photo("a.jpg", "/photos/a.jpg"), "0" * 64, ANALYSIS)
    found = tables.table([row], tables.FINDINGS).to_pylist()[0]
    expected = leaves(ANALYSIS.model_dump(mode="json", exclude=set(tables.NOT_STORED)))
    for place in IN_THE_JSON_ALONE:
        del expected[place]
    boxes = dict(zip(("x", "y", "width", "height"), EXAMPLE_ANALYSIS["face"]["box"], strict=True))
    assert {name: found[f"face_{name}"] for name in boxes} == boxes
    for place, value in expected.items():
        column = place.removeprefix("concerns.").replace(".zones.", ".").replace(".", "_").replace("face_pose", "face")
        assert found[column] == value, place


def test_the_columns_are_those_that_are_documented() -> None:
    page = (ROOT / "docs" / "batch.md").read_text()
    names = {name for schema in (tables.FINDINGS, tables.FAILURES) for name in schema.names}
    # The page says once that these have the columns of redness.
    alike = {name for name in names if name.startswith(("pigmentation_", "shine_", "texture_"))}
    assert {name for name in names if f"`{name}`" not in page} == alike


def test_types_are_kept_where_all_values_are_null() -> None:
    empty = Analysis.model_validate(EXAMPLE_ANALYSIS | {"face": None, "tone": None, "model": None})
    row = tables.finding(Photo("a.jpg", ""), "0" * 64, empty)
    found = tables.table([row], tables.FINDINGS)
    assert found.schema == tables.FINDINGS
    assert found.column("face_yaw").type == pa.int32()
    assert found.column("face_yaw").to_pylist() == found.column("tone_group").to_pylist() == [None]


def test_the_analysis_is_stored_without_what_differs_from_run_to_run() -> None:
    row = tables.finding(Photo("a.jpg", ""), "0" * 64, ANALYSIS)
    again = Analysis.model_validate_json(
        row["analysis"].replace("{", '{"request_id":"x","timing_ms":{"decode":0,"face":0,"analysis":0,"total":0},', 1)
    )
    assert again.concerns == ANALYSIS.concerns
    assert "timing_ms" not in row["analysis"]
    assert "request_id" not in row["analysis"]


def test_a_name_that_is_no_utf8_is_shown_and_kept() -> None:
    row = tables.failure(Photo("a\udcff\\xff\n.jpg", ""), None, "code", "sentence", "hint")
    found = tables.table([row], tables.FAILURES).to_pylist()[0]
    assert found["path"] == "a\\xff\\xff\n.jpg"
    assert found["path_bytes"] == b"a\xff\\xff\n.jpg"
    assert tables.failure(Photo("ä.jpg", ""), None, "c", "s", "h")["path_bytes"] is None
