"""Build the image that runs in production: bento → BentoML's image → slimmed, hardened, labelled.

    python -m deploy.image.build                    # shine:REVISION, its sizes, its SBOM and licences in dist/
    python -m deploy.image.build --tag shine:try --no-sbom
    BASE_IMAGE=python:3.11-slim@sha256:… python -m deploy.image.build     # a pinned base

The content follows from the commit and the base alone: times are the commit's, compiled files are checked by content.
What differs between two builds of one commit is the image's creation time in its history, nothing in the file system.
"""

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bentos.skin import __version__
from bentos.skin.model.bundle import read
from bentos.skin.model.engine import EMBEDDED
from deploy.image.engine import EngineError, ensure_base, is_stand_in, up

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
REVISION = ROOT / "bentos" / "skin" / "REVISION"
DIST = ROOT / "dist"
IMAGE_MOST, COMPRESSED_MOST = 450, 170  # MiB
MIB = 1 << 20


class BuildError(Exception):
    """The image could not be built; the message says at which step and why."""


@dataclass(frozen=True, slots=True)
class Built:
    """An image.

    Attributes:
        tag: its name.
        digest: sha256 of its configuration.
        bytes: unpacked.
    """

    tag: str
    digest: str
    bytes: int


def build(tag: str | None, env: dict[str, str]) -> Built:
    """Build it.

    Args:
        tag: name:tag; shine:REVISION by default.
        env: in which docker answers.

    Raises:
        BuildError: a step failed.
        EngineError: there is no base image to be had.
    """
    revision, epoch, dirty = commit()
    version = revision[:12] + ("-dirty" if dirty else "")
    tag = tag or f"shine:{version}"
    base = ensure_base(env)
    with tempfile.TemporaryDirectory(prefix="shine-image-") as home:
        env = {**env, "BENTOML_HOME": home, "BENTOML_DO_NOT_TRACK": "true", "BASE_IMAGE": base}
        bentoml = str(Path(sys.executable).parent / "bentoml")
        REVISION.write_text(revision)
        try:
            step("bento", [bentoml, "build", "--version", version], env)
        finally:
            REVISION.unlink()
        step(
            "image",
            [bentoml, "containerize", f"shine:{version}", "--backend", "docker", "-t", f"shine-bento:{version}"],
            env,
        )
    arguments = {"BENTO": f"shine-bento:{version}", "SOURCE_DATE_EPOCH": str(epoch)}
    command = ["docker", "build", "--quiet", "-f", str(HERE / "Dockerfile"), "-t", tag]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in labels(revision, base).items():
        command += ["--label", f"{name}={value}"]
    step("slimmed", [*command, str(HERE)], env)
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}} {{.Size}}", tag],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return Built(tag, found[0], int(found[1]))


def commit() -> tuple[str, int, bool]:
    """The commit, its time in seconds since 1970, and whether something is not committed.

    Raises:
        BuildError: this is no git checkout.
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"git {words[0]}: {done.stderr.strip()}; an image is built from a commit")
        return done.stdout.strip()

    return git("rev-parse", "HEAD"), int(git("log", "-1", "--format=%ct")), bool(git("status", "--porcelain"))


def labels(revision: str, base: str) -> dict[str, str]:
    """What the image says of itself, by OCI's names where there are some."""
    weights = read(EMBEDDED)
    return {
        "org.opencontainers.image.title": "shine",
        "org.opencontainers.image.description": "Skin analysis of a photo",
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.licenses": "Apache-2.0 AND LicenseRef-shine-weights",
        "org.opencontainers.image.base.name": base.partition("@")[0],
        "org.opencontainers.image.base.digest": base.partition("@")[2] or "none: a stand-in, for tests only",
        "shine.code.license": "Apache-2.0",
        "shine.weights.license": "research and evaluation only; see bentos/skin/weights/LICENSE.weights",
        "shine.model.name": weights.manifest.name,
        "shine.model.version": weights.manifest.version,
        "shine.model.sha256": weights.sha256,
    }


def compressed(tag: str, env: dict[str, str]) -> int:
    """Bytes of the image as a registry would hold it: gzip, as docker push makes it."""
    size = 0

    class Counter:
        def write(self, data: bytes) -> int:
            nonlocal size
            size += len(data)
            return len(data)

        def flush(self) -> None:
            """Nothing is held back."""

    with subprocess.Popen(["docker", "save", tag], env=env, stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None  # noqa: S101  for mypy
        with gzip.GzipFile(fileobj=Counter(), mode="wb", compresslevel=6) as packed:
            shutil.copyfileobj(saved.stdout, packed, 1 << 20)
    return size


def bill(tag: str, env: dict[str, str]) -> None:
    """Write the SBOM (CycloneDX and SPDX) and the licences of what is in the image to dist/.

    Raises:
        BuildError: syft fails.
    """
    DIST.mkdir(exist_ok=True)
    syft = str(Path(sys.executable).parent / "syft")
    quiet = {**env, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    sbom = DIST / "sbom.cdx.json"
    step(
        "SBOM",
        [
            syft,
            "scan",
            f"docker:{tag}",
            "-q",
            "-o",
            f"cyclonedx-json={sbom}",
            "-o",
            f"spdx-json={DIST / 'sbom.spdx.json'}",
        ],
        quiet,
    )
    lines = set()
    for part in json.loads(sbom.read_text())["components"]:
        if part.get("type") == "library":
            told = [
                one.get("expression") or one["license"].get("id") or one["license"].get("name")
                for one in part.get("licenses", [])
            ]
            names = ", ".join(sorted({one for one in told if one})) or "not stated"
            lines.add(f"{part['name']} {part.get('version', '')}: {names}\n")
    (DIST / "licenses.txt").write_text("".join(sorted(lines)))


def step(name: str, command: list[str], env: dict[str, str]) -> None:
    """Run a step, telling how long it took.

    Raises:
        BuildError: with the end of its output.
    """
    began = time.monotonic()
    print(f"{name} …", end=" ", flush=True)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print("failed", flush=True)
        raise BuildError(
            f"{name}: {' '.join(command[:3])} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    print(f"{time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="name:tag of the image (shine:REVISION)")
    parser.add_argument("--no-sbom", action="store_true", help="leave SBOM, licences and the compressed size out")
    wanted = parser.parse_args()
    try:
        env = up()
        built = build(wanted.tag, env)
        print(f"{built.tag} {built.digest}")
        print(f"unpacked {built.bytes / MIB:.0f} MiB (limit {IMAGE_MOST})")
        if not wanted.no_sbom:
            print(f"compressed {compressed(built.tag, env) / MIB:.0f} MiB (limit {COMPRESSED_MOST})")
            bill(built.tag, env)
            print(f"SBOM and licences in {DIST.relative_to(ROOT)}/")
        if is_stand_in(env):
            print("The base is a stand-in made here, without a digest: FOR TESTS ONLY, never push this image.")
    except (BuildError, EngineError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
