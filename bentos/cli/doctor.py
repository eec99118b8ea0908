"""`shine doctor`: what is wrong with this machine or its settings, and the repair."""

import json
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bentos.cli.command import Command, json_output, prepare
from bentos.cli.exit_codes import DONE, FAILED
from bentos.cli.text import printable

if TYPE_CHECKING:
    from bentos.skin.settings import Settings

PYTHON = (3, 11)  # as pyproject.toml has it
CACHE_MIB = 256  # room for three bundles of the largest size that is published
ANSWER_S = 3.0  # of what listens on the port
MIB = 1 << 20
MEMORY = Path("/proc/meminfo")
LONGEST = 400  # characters of a sentence


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of the thing.
        ok: whether it is right.
        sentence: what was found.
        repair: what to do where it is not right; else "".
    """

    name: str
    ok: bool
    sentence: str
    repair: str = ""


@click.command(cls=Command)
@json_output
def doctor(as_json: bool) -> int:
    """Look at what analysing and serving need here, and say what is wrong and how it is repaired.

    It reads the same environment as the service: SHINE_…, PORT, and that of boto3 where SHINE_WEIGHTS_URI is in S3.

    \b
    shine doctor
    shine doctor --json
    SHINE_WEIGHTS_URI=s3://bucket/face-skin shine doctor

    Exit codes: 0 all is right; 2 something is wrong.
    """
    prepare()
    checks = examine(dict(os.environ))
    if as_json:
        print(json.dumps({"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]}))
    else:
        for check in checks:
            print(f"{'ok' if check.ok else 'WRONG':6}{check.name:10}{printable(check.sentence, LONGEST)}")
            if check.repair:
                print(f"{'':16}→ {printable(check.repair, LONGEST)}")
    return DONE if all(check.ok for check in checks) else FAILED


def examine(environ: dict[str, str]) -> list[Check]:
    """All checks, each whatever the others found.

    Args:
        environ: the environment that a service would start with.
    """
    settings, problems = settings_of(environ)
    in_s3 = bool(settings.weights_uri and settings.weights_uri.startswith("s3://"))
    looks: dict[str, Callable[[], Check]] = {
        "python": python,
        "cpus": cpus,
        "memory": memory,
        "port": lambda: port(environ.get("PORT", "")),
        "engine": engine,
        "faces": face_mesh,
        "cache": lambda: cache(settings.cache_dir),
        **({"s3": lambda: s3(settings)} if in_s3 else {}),
        "weights": lambda: weights(settings),
    }
    fine = Check("settings", True, "all names and values are valid")
    return [*(problems or [fine]), *(_looked(name, look) for name, look in looks.items())]


def _looked(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:  # whatever is broken here, the others are looked at too
        sentence = f"this could not be looked at: {type(error).__name__}: {error}"
        return Check(name, False, sentence, "Install what the lock file says (make setup), then look again.")


def settings_of(environ: dict[str, str]) -> tuple["Settings", list[Check]]:
    """The settings without those that are wrong, and each of those."""
    from bentos.skin.settings import Settings, SettingsError, check_weights_uri, read

    left, problems = dict(environ), []
    while True:
        try:
            settings = read(left)
            if settings.weights_uri is not None:
                check_weights_uri(settings.weights_uri)
            return settings, problems
        except SettingsError as error:
            name = str(error).split()[0]  # all sentences begin with the variable
            problems.append(Check("settings", False, str(error), f"Correct {name}, or leave it unset."))
            if left.pop(name, None) is None:
                return Settings(), problems


def python() -> Check:
    """The version of Python."""
    name = f"Python {platform.python_version()}"
    if sys.version_info[:2] == PYTHON:
        return Check("python", True, name)
    wanted = ".".join(map(str, PYTHON))
    return Check("python", False, f"{name}; {wanted} is needed", f"Install Python {wanted} and make setup again.")


def cpus() -> Check:
    """CPUs that may be used."""
    from bentos.skin import cgroup

    usable, there = cgroup.cpus(), os.cpu_count() or 1
    limited = "" if usable == there else f" of {there}: by quota or affinity"
    return Check("cpus", True, f"{usable}{limited}; as many photos are analysed at the same time")


def memory() -> Check:
    """Memory that is left, beside what the service was measured to need."""
    from bentos.skin import cgroup

    measured = json.loads((Path(cgroup.__file__).with_name("measured.json")).read_text())
    needed = int(measured["memory_minimum_mib"])
    group = cgroup.memory()
    if group is not None and group.limit:
        free, limit = (group.limit - group.used) // MIB, f" within the limit of {group.limit // MIB:,} MiB"
    else:
        available = next(line for line in MEMORY.read_text().splitlines() if line.startswith("MemAvailable:"))
        free, limit = int(available.split()[1]) // 1024, ""
    sentence = f"{free:,} MiB are free{limit}; the service needs up to {needed:,} under load"
    if free >= needed:
        return Check("memory", True, sentence)
    return Check("memory", False, sentence, "End other programs, or raise the limit; less load needs less.")


def port(text: str) -> Check:
    """Whether the service's port is free, or a Shine listens there already.

    Args:
        text: of PORT; empty for the default.
    """
    from bentos.skin.settings import PORT

    text = text.strip() or str(PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        return Check(
            "port", False, f"PORT is {text!r}, no number from 1 to 65535", "Set PORT to one, or leave it unset."
        )
    number = int(text)
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", number))
    except PermissionError:
        repair = "Set PORT to a number from 1024 on."
        return Check("port", False, f"this user may not listen on {number}", repair)
    except OSError as error:
        who = _listener(number)
        if who is not None:
            return Check("port", True, f"{number} is in use by Shine {who}")
        sentence = f"{number} cannot be had: {(error.strerror or str(error)).lower()}"
        return Check("port", False, sentence, "Stop what listens there, or set PORT to another.")
    return Check("port", True, f"{number} is free")


def _listener(number: int) -> str | None:
    """Version and phase of the Shine that answers on a port of this machine; None for anything else."""
    import httpx

    try:
        with httpx.Client(timeout=ANSWER_S, trust_env=False) as client:
            answer = client.get(f"http://127.0.0.1:{number}/version")
            if answer.status_code == 401 and "api_key" in answer.text:
                return "that wants an API key"
            content: dict[str, Any] = answer.json()
            return f"{content['version']} (phase {content['phase']})" if content["service"] == "shine" else None
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


def engine() -> Check:
    """ONNX Runtime."""
    import onnxruntime

    return Check("engine", True, f"onnxruntime {onnxruntime.__version__}, on the CPU")


def face_mesh() -> Check:
    """The networks that find faces."""
    from bentos.skin.photo.face_reader import FaceReader

    if FaceReader().has_mesh:
        return Check("faces", True, "face detector and face mesh are loaded")
    repair = "Install the package again; bentos/skin/weights/face_landmarks.onnx is damaged or missing."
    return Check("faces", False, "the face mesh cannot be loaded: photos have no landmarks and zones", repair)


def cache(folder: Path) -> Check:
    """The folder that keeps weights fetched from S3."""
    there = folder if folder.exists() else next(parent for parent in folder.absolute().parents if parent.exists())
    repair = "Make it writable for this user, or set SHINE_CACHE_DIR to another folder."
    if not there.is_dir():
        return Check("cache", False, f"{there} is a file, not a folder", repair)
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            free = shutil.disk_usage(there).free // MIB
    except OSError as error:
        return Check("cache", False, f"{folder} cannot be written: {(error.strerror or str(error)).lower()}", repair)
    if folder.exists() and folder.stat().st_uid != os.geteuid():
        return Check("cache", False, f"{folder} belongs to another user, whose files are not trusted", repair)
    sentence = f"{folder} is writable, with {free:,} MiB free"
    if free < CACHE_MIB:
        repair = f"Free {CACHE_MIB} MiB, or set SHINE_CACHE_DIR to a folder on another disk."
        return Check("cache", False, sentence, repair)
    return Check("cache", True, sentence)


def s3(settings: "Settings") -> Check:
    """Whether S3 answers, and lets this user read."""
    from bentos.skin.model.bundle import BundleError
    from bentos.skin.model.source import source

    where = settings.weights_uri or ""
    try:
        newest = source(settings).newest()
    except BundleError as error:
        repair = (
            "Check network, region, AWS_ENDPOINT_URL and credentials (`aws sts get-caller-identity`), and the policy."
        )
        return Check("s3", False, error.message, repair)
    if newest is None:
        repair = f"Publish some: shine weights publish {where}"
        return Check("s3", False, f"{where} can be read and holds no weights", repair)
    return Check("s3", True, f"{where} can be read; the live manifest is {newest[:12]}…")


def weights(settings: "Settings") -> Check:
    """Whether the weights pass all checks that a service makes."""
    from bentos.skin.model.bundle import BundleError
    from bentos.skin.model.engine import load
    from bentos.skin.model.source import source

    if not settings.wants_model:
        return Check("weights", True, "phase simple uses none")
    where = settings.weights_uri or "the weights of this package"
    try:
        place = source(settings)
        bundle = place.fetch()
        load(bundle, threads=1)
    except BundleError as error:
        return Check("weights", False, f"{where}: {error.reason}: {error.message}", REPAIRS.get(error.reason, REPAIR))
    note = f" {place.note}" if place.note else ""
    manifest = bundle.manifest
    return Check("weights", True, f"{manifest.name} {manifest.version} passes checksums and self-test.{note}")


REPAIR = "Publish or install the bundle again; `shine weights check PLACE` tries it alone (docs/weights.md)."
REPAIRS = {
    "weights_missing": "Set SHINE_WEIGHTS_URI to a bundle or a place of versions; `shine weights publish` makes one.",
    "weights_unreachable": "Repair the access to that place, see above; else the heuristics answer, marked as such.",
    "weights_incompatible": "Use a bundle that was made for this version of Shine; see docs/weights.md.",
}
