"""Audit of what serves: the lock, the environment made from it, licences, and known vulnerabilities.

    make audit                                            # all of it; writes .cache/licenses.txt
    .venv/bin/python -m tests.audit --offline             # without asking anybody
    .venv/bin/python -m tests.audit --licenses FILE       # what is under which licence, one package a line

Exit codes: 0 nothing found; 2 something found; 3 nothing found offline, but advisories could not be asked for.

Advisories come from the JSON API of the index that pip is configured with. pip-audit asks the same question, but where
an index answers 404, as mirrors without that API do, it skips the package, says "No known vulnerabilities found" and
exits 0. An audit that did not take place must not look like one that found nothing.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path

import httpx
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9.!+]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
# Nothing that reaches beyond its own files: MPL-2.0 asks for the source of changed files, and we change none; LGPL-3.0
# is that of shared libraries that lie in a wheel as files of their own, which whoever has the image may replace.
ALLOWED = frozenset(
    {"Apache-2.0", "LGPL-3.0", "MIT", "MIT-CMU", "MPL-2.0", "PSF-2.0", "Zlib", "CC0-1.0", "0BSD"}
    | {"BSD", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear"}
)
SPDX = {  # of what packages without a License-Expression say instead
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
FINE, FOUND, NOT_ASKED = 0, 2, 3


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the lock."""

    name: str
    version: str


class NotAsked(Exception):
    """The index did not answer what was asked; the message says in which way."""


def entries(lock: str) -> Iterator[str]:
    """The requirements of a lock, each with its hashes in one line, without comments."""
    joined = lock.replace("\\\n", " ")
    for line in joined.splitlines():
        requirement = re.sub(r"(^|\s)#.*", "", line).strip()
        if requirement:
            yield " ".join(requirement.split())


def loose(lock: str) -> list[str]:
    """What of a lock is not pinned exactly, or has no sha256."""
    problems = []
    for entry in entries(lock):
        requirement, *hashes = entry.split(" ")
        if not PINNED.fullmatch(requirement):
            problems.append(f"{requirement} is not pinned to one version")
        elif not hashes or not all(HASH.fullmatch(given) for given in hashes):
            problems.append(f"{requirement} is not pinned by sha256")
    return problems


def pins(lock: str) -> list[Pin]:
    """The packages of a lock."""
    matches = (PINNED.match(entry) for entry in entries(lock))
    return [Pin(canonicalize_name(match["name"]), match["version"]) for match in matches if match]


def unsatisfied(locked: Iterable[Pin], required: str) -> list[str]:
    """What is asked for in an .in file and is not what the lock has."""
    versions = {pin.name: pin.version for pin in locked}
    problems = []
    for entry in entries(required):
        requirement = Requirement(entry)
        has = versions.get(canonicalize_name(requirement.name))
        if has is None or not requirement.specifier.contains(has, prereleases=True):
            problems.append(f"{requirement} is wanted, and the lock has {has or 'none'}; run `make lock`")
    return problems


def differing(locked: Iterable[Pin]) -> list[str]:
    """Packages whose installed version is not the locked one."""
    problems = []
    for pin in locked:
        try:
            installed = version(pin.name)
        except PackageNotFoundError:
            installed = "none"
        if installed != pin.version:
            problems.append(f"{pin.name} is locked at {pin.version}, and installed is {installed}")
    return problems


def pip_check() -> list[str]:
    """What pip finds wrong with the dependencies of the environment."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else (done.stdout + done.stderr).strip().splitlines()


def licence_of(name: str) -> str:
    """The licence of an installed package as SPDX where it can be told, else in its own words; "" where it has none."""
    package = metadata(name)
    if package["License-Expression"]:
        return str(package["License-Expression"])
    classifiers = [line for line in package.get_all("Classifier") or [] if line.startswith("License :: ")]
    words = [line.rpartition(" :: ")[2] for line in classifiers] or (package["License"] or "").strip().splitlines()[:1]
    return " AND ".join(SPDX.get(word, word) for word in words)


def is_allowed(licence: str) -> bool:
    """Whether each part of an SPDX expression is on the list, or one of its alternatives is."""
    parts = re.sub(r"[()]", "", licence).split(" AND ")
    return all(any(choice.strip() in ALLOWED for choice in part.split(" OR ")) for part in parts)


def index() -> str:
    """Scheme and host of the index that pip is configured with, as its own help tells it.

    Raises:
        NotAsked: it tells none.
    """
    command = [sys.executable, "-m", "pip", "download", "--help"]
    completed = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "999"}
    )
    match = re.search(r"\(default (https?://)(?:[^/@\s)]*@)?([^/\s)]+)", completed.stdout)
    if match is None:
        raise NotAsked("pip is configured with no index over HTTP")
    return match[1] + match[2]


def vulnerabilities(pin: Pin, client: httpx.Client) -> list[str]:
    """Advisories on one version that are not withdrawn.

    Raises:
        NotAsked: there is no answer, or it is not that of the JSON API.
    """
    try:
        answer = client.get(f"/pypi/{pin.name}/{pin.version}/json")
        advisories = answer.json()["vulnerabilities"] if answer.status_code == 200 else None
    except httpx.HTTPError as error:
        raise NotAsked(f"asked about {pin.name}, the index did not answer ({type(error).__name__})") from None
    except (ValueError, KeyError, TypeError):
        advisories = None
    if not isinstance(advisories, list):
        raise NotAsked(f"asked about {pin.name}, the index answered {answer.status_code} without advisories")
    return [
        f"{pin.name} {pin.version}: {advisory['id']}, fixed in {', '.join(advisory['fixed_in']) or 'no version'}"
        for advisory in advisories
        if not advisory.get("withdrawn")
    ]


def licences(locked: Iterable[Pin]) -> dict[Pin, str]:
    """The licence of each package that is installed."""
    licences = {}
    for pin in locked:
        try:
            licences[pin] = licence_of(pin.name)
        except PackageNotFoundError:
            licences[pin] = ""
    return licences


def offline(lock: str, required: str, under: dict[Pin, str]) -> list[str]:
    """All problems that can be found without the network."""
    refused = [
        f"{pin.name} is under {it or 'no licence'}, not on the list" for pin, it in under.items() if not is_allowed(it)
    ]
    return [*loose(lock), *unsatisfied(under, required), *differing(under), *pip_check(), *refused]


def main(arguments: Sequence[str] | None = None, requirements: Path = REQUIREMENTS) -> int:
    """Print what was found; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description="Audit the lock of what serves.")
    parser.add_argument("--licenses", type=Path, metavar="FILE", help="write the licence of each package here")
    parser.add_argument("--offline", action="store_true", help="ask nobody for advisories")
    chosen = parser.parse_args(arguments)
    lock = (requirements / "runtime.txt").read_text()
    under = licences(pins(lock))
    if chosen.licenses:
        chosen.licenses.parent.mkdir(parents=True, exist_ok=True)
        chosen.licenses.write_text("".join(f"{pin.name} {pin.version}: {licence}\n" for pin, licence in under.items()))
    problems = offline(lock, (requirements / "runtime.in").read_text(), under)
    asked, reason = 0, "not asked for" if chosen.offline else ""
    if not chosen.offline:
        try:
            with httpx.Client(base_url=index(), timeout=20) as client:
                for pin in under:
                    problems += vulnerabilities(pin, client)
                    asked += 1
        except NotAsked as error:
            reason = str(error)
    for line in problems:
        print(f"FOUND  {line}")
    print(f"{len(under)} packages: lock, environment and licences checked.")
    if reason:
        print(f"advisories NOT checked: {reason} ({asked} of {len(under)} packages asked about).", file=sys.stderr)
    else:
        print(f"{asked} packages: advisories asked for.")
    if problems:
        return FOUND
    return NOT_ASKED if reason else FINE


if __name__ == "__main__":
    raise SystemExit(main())
