"""Loads a task definition from a file: any Unicode encoding, JSON or YAML, also what `describe-task-definition` prints.

What was stripped becomes findings. An error is one sentence.
"""

import codecs
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from deploy.config import files as reading
from deploy.findings.catalog import CODES
from deploy.findings.finding import Finding, fail, warn
from deploy.taskdef import other_formats, placeholders, schema
from deploy.text import plain, printable, shown

MAX_BYTES = 1 << 20  # ECS takes 64 KiB; with white space and in UTF-16 that is far less than this
MARKS = (  # UTF-32 first, since its marks begin like those of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DEEPEST = 32  # levels; the model of the API has 7

ENCODING = CODES["FILE_ENCODING"]
WRAPPER = CODES["FILE_WRAPPER"]
READ_ONLY = CODES["FILE_READ_ONLY"]
INACTIVE = CODES["FILE_INACTIVE"]
REVISION_WORD = CODES["REVISION_WORD"]


class TaskDefinitionError(Exception):
    """The file is no task definition; the message is one sentence."""


class Loaded(NamedTuple):
    """A task definition without what was stripped, and findings for what was."""

    task: dict[str, Any]
    stripped: list[Finding]


def load(path: Path) -> Loaded:
    """Load a task definition.

    Raises:
        TaskDefinitionError: the file is missing, too large, of an unknown encoding, not JSON, a template that was not
            rendered, or no task definition.
    """
    name = printable(str(path))
    _refuse_revision(path, name)
    try:
        text, stripped = _decode(reading.content(path, MAX_BYTES, "a task definition"), name)
    except reading.Unreadable as error:
        raise TaskDefinitionError(str(error)) from None
    content = _parse(text, path, name)
    inner = content.get("taskDefinition") if isinstance(content, dict) else None
    if (what := None if isinstance(inner, dict) else other_formats.of_content(content)) is not None:
        raise TaskDefinitionError(f"{name} {what}")
    if not isinstance(content, dict):
        raise TaskDefinitionError(f"{name} holds {shown(content)}; a task definition is an object.")
    if isinstance(inner, dict):
        beside = sorted(printable(key, 40) for key in content if key not in ("taskDefinition", "tags"))
        more = f" and {', '.join(beside)} beside it" if beside else ""
        sentence = (
            f"{name} has a taskDefinition wrapper around it{more}, as describe-task-definition prints it; stripped."
        )
        stripped.append(_stripped(WRAPPER.code, sentence, "taskDefinition", ["taskDefinition", *beside]))
        content = inner
    elif "taskDefinition" in content:
        raise TaskDefinitionError(
            f"{name} has {shown(content['taskDefinition'])} as taskDefinition, which must be an object."
        )
    if (placeholder := placeholders.first(content)) is not None:
        raise TaskDefinitionError(_template(name, placeholder))
    stripped += _own_fields(content, name)
    return Loaded({key: value for key, value in content.items() if key not in schema.read_only()}, stripped)


def _refuse_revision(path: Path, name: str) -> None:
    """Explain what to do where somebody names a revision in place of a file."""
    match = re.fullmatch(r"(?:\S*:task-definition/)?[\w-]+:(\w+)", str(path))
    if match is None or path.exists():
        return
    if not match[1].isdecimal():
        sentence = f"{name} is no file, and no revision either: revisions are whole numbers, and {match[1]} is a word."
        raise TaskDefinitionError(sentence)
    command = f"aws ecs describe-task-definition --task-definition {name}"
    raise TaskDefinitionError(f"{name} is no file; save what `{command}` prints, and name the file.")


def _decode(content: bytes, name: str) -> tuple[str, list[Finding]]:
    """The text. JSON begins with two ASCII characters, so zeros in the first bytes tell UTF-16 and UTF-32 apart."""
    mark, encoding = next(((mark, name) for mark, name in MARKS if content.startswith(mark)), (b"", "utf-8"))
    if not mark and b"\0" in content[:4]:
        zeros = (content[:1] == b"\0", content[1:2] == b"\0")
        encoding = {(False, True): "utf-16-le", (True, False): "utf-16-be"}.get(zeros, "utf-32")
    try:
        text = content.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        sentence = f"{name} is not {encoding.upper()}: byte {error.start:,} cannot be read."
        raise TaskDefinitionError(sentence) from None
    if not mark and encoding == "utf-8":
        return text, []
    what = f"{encoding.upper()}{' with a byte order mark' if mark else ''}"
    sentence = f"{name} is {what}, which the AWS tools do not read; it was read nevertheless."
    return text, [_stripped(ENCODING.code, sentence, "encoding", what)]


def _parse(text: str, path: Path, name: str) -> Any:
    try:
        if path.suffix.lower() in (".yaml", ".yml") and not text.lstrip().startswith("{"):
            data = reading.plain_yaml(text)
            content = json.loads(json.dumps(data, default=str))  # dates become text
        else:
            content = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise TaskDefinitionError(_unparsed(error, name)) from None
    except reading.Unreadable as error:
        what = other_formats.of_text(text)
        raise TaskDefinitionError(f"{name} {what}" if what else f"{name} cannot be read: {error}.") from None
    except (ValueError, TypeError) as error:
        raise TaskDefinitionError(f"{name} cannot be read: {printable(' '.join(str(error).split()), 200)}.") from None
    except RecursionError:
        raise TaskDefinitionError(f"{name} is nested too deep for a task definition.") from None
    if _is_too_deep(content):
        raise TaskDefinitionError(f"{name} is nested more than {DEEPEST} levels deep; no task definition is.")
    return content


def _unparsed(error: json.JSONDecodeError, name: str) -> str:
    """Why a text is not JSON: a sentence."""
    line = error.doc.splitlines()[error.lineno - 1 : error.lineno] or [""]
    if (placeholder := placeholders.first_in_line(line[0])) is not None:
        return _template(name, placeholder)
    what = other_formats.of_text(error.doc) or other_formats.fault_of_json(error)
    return (
        f"{name} {what}" if what else f"{name} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    )


def _template(name: str, placeholder: str) -> str:
    return (
        f"{name} is a template; render it first, and check what comes out: {shown(placeholder)} is a placeholder "
        "(ecspresso: `ecspresso render taskdef`; envsubst, Terraform and others have their own way)."
    )


def _is_too_deep(content: Any) -> bool:
    level = [content]
    for _ in range(DEEPEST):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
    return bool(level)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        duplicate, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {shown(duplicate)} occurs twice")
    return content


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _own_fields(content: dict[str, Any], name: str) -> list[Finding]:
    findings = []
    if fields := sorted(set(content) & schema.read_only()):
        sentence = f"{name} has fields that only ECS writes: {', '.join(fields)}; stripped."
        findings.append(_stripped(READ_ONLY.code, sentence, ", ".join(fields), fields))
    if (state := content.get("status")) not in (None, "ACTIVE"):
        sentence = f"status is {shown(state)}, so no service can be updated or rolled back to this revision."
        findings.append(_stripped(INACTIVE.code, sentence, "status", state, "Register it again, as a new revision."))
    arn = content.get("taskDefinitionArn")
    tail = arn.rpartition(":task-definition/")[2].partition(":")[2] if isinstance(arn, str) else ""
    for where, value in (("revision", content.get("revision")), ("taskDefinitionArn", tail)):
        if isinstance(value, str) and value and not value.isdecimal():
            sentence = f"{where} names the revision {shown(value)}; ECS numbers revisions itself."
            place = (f"task definition: {where}", plain(content[where]))
            repair = "Name a revision by its number, and set the phase in SHINE_PHASE."
            findings.append(fail(REVISION_WORD.code, sentence, place, repair=repair))
    return findings


def _stripped(code: str, sentence: str, where: str, value: Any, repair: str | None = None) -> Finding:
    repair = repair or "Remove it before the file is registered; Shine's needs no file: `trail render` prints it."
    return warn(code, sentence, (f"task definition: {where}", plain(value)), repair=repair)
