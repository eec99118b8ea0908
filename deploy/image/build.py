"""Builds the image for production: bento → BentoML's image → smaller, hardened, labelled.

    python -m deploy.image.build                    # shine:REVISION, its sizes, its SBOM and licences in dist/
    python -m deploy.image.build --tag shine:try --no-sbom
    BASE_IMAGE=python:3.11-slim@sha256:… python -m deploy.image.build     # a pinned base

Two builds of one commit on one base have the same files: file times are the commit's, and compiled files are checked by
content. Only the creation time in the image's history differs.
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

import pi_heif

from bentos.skin import __version__
from bentos.skin.model.bundle import read
from bentos.skin.model.engine import EMBEDDED
from deploy.image.engine import EngineError, ensure_base, is_stand_in, up

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
REVISION = ROOT / "bentos" / "skin" / "REVISION"
DIST = ROOT / "dist"
IMAGE_MOST, COMPRESSED_MOST = 450, 170  # MiB, at most
MIB = 1 << 20
BUNDLED_LICENCE = "LGPL-3.0-or-later"  # of libheif and libde265, as the wheel of pi-heif states


class BuildError(Exception):
    """The image could not be built; the message names the step and the reason."""


@dataclass(frozen=True, slots=True)
class Built:
    """A built image.

    Attributes:
        tag: name:tag.
        digest: sha256 of its configuration.
        bytes: unpacked size.
    """

    tag: str
    digest: str
    bytes: int


def build(tag: str | None, env: dict[str, str]) -> Built:
    """Build the image.

    Args:
        tag: name:tag; shine:REVISION by default.
        env: environment in which `docker` reaches an engine.

    Raises:
        BuildError: a step failed.
        EngineError: there is no base image.
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
    build_arguments = {"BENTO": f"shine-bento:{version}", "SOURCE_DATE_EPOCH": str(epoch)}
    command = ["docker", "build", "--quiet", "-f", str(HERE / "Dockerfile"), "-t", tag]
    for name, value in build_arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    for name, value in labels(revision, base).items():
        command += ["--label", f"{name}={value}"]
    step("smaller image", [*command, str(HERE)], env)
    digest, size = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}} {{.Size}}", tag],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return Built(tag, digest, int(size))


def commit() -> tuple[str, int, bool]:
    """The commit's hash, its time in seconds since 1970, and whether there are uncommitted changes.

    Raises:
        BuildError: this is not a git checkout.
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildError(f"git {words[0]}: {done.stderr.strip()}; an image is built from a commit")
        return done.stdout.strip()

    return git("rev-parse", "HEAD"), int(git("log", "-1", "--format=%ct")), bool(git("status", "--porcelain"))


def labels(revision: str, base: str) -> dict[str, str]:
    """Labels of the image, by OCI's names where there are some."""
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
    """Size of the image in a registry, in bytes: compressed with gzip, as `docker push` does."""
    size = 0

    class Counter:
        def write(self, data: bytes) -> int:
            nonlocal size
            size += len(data)
            return len(data)

        def flush(self) -> None:
            """Nothing is buffered."""

    with subprocess.Popen(["docker", "save", tag], env=env, stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None  # noqa: S101  for mypy
        with gzip.GzipFile(fileobj=Counter(), mode="wb", compresslevel=6) as packed:
            shutil.copyfileobj(saved.stdout, packed, 1 << 20)
    return size


def bill(tag: str, env: dict[str, str]) -> None:
    """Write the SBOM (CycloneDX and SPDX) and the licences of the image's packages to dist/.

    Raises:
        BuildError: syft failed.
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
    add_bundled(sbom, DIST / "sbom.spdx.json")
    lines = set()
    for part in json.loads(sbom.read_text())["components"]:
        if part.get("type") == "library":
            licences = [
                entry.get("expression") or entry["license"].get("id") or entry["license"].get("name")
                for entry in part.get("licenses", [])
            ]
            names = ", ".join(sorted({licence for licence in licences if licence})) or "not stated"
            lines.add(f"{part['name']} {part.get('version', '')}: {names}\n")
    (DIST / "licenses.txt").write_text("".join(sorted(lines)))


def add_bundled(cyclonedx: Path, spdx: Path) -> None:
    """Add the libraries inside pi-heif's wheel to both bills: syft sees the wheel alone, whose licence is another.

    Args:
        cyclonedx: the bill in CycloneDX's form; written anew.
        spdx: the bill in SPDX's form; written anew.
    """
    hevc = next(line for line in pi_heif.libheif_info()["decoders"].values() if "libde265" in line)
    libraries = {"libheif": pi_heif.libheif_version(), "libde265": hevc.rpartition("version ")[2]}
    components, packages = json.loads(cyclonedx.read_text()), json.loads(spdx.read_text())
    for name, version in libraries.items():
        source = f"https://github.com/strukturag/{name}"
        components["components"].append(
            {
                "bom-ref": f"pkg:generic/{name}@{version}",
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:generic/{name}@{version}",
                "licenses": [{"license": {"id": BUNDLED_LICENCE}}],
                "externalReferences": [{"type": "vcs", "url": source}],
            }
        )
        packages["packages"].append(
            {
                "SPDXID": f"SPDXRef-Package-bundled-{name}",
                "name": name,
                "versionInfo": version,
                "supplier": "NOASSERTION",
                "downloadLocation": source,
                "filesAnalyzed": False,
                "licenseConcluded": BUNDLED_LICENCE,
                "licenseDeclared": BUNDLED_LICENCE,
                "copyrightText": "NOASSERTION",
            }
        )
    cyclonedx.write_text(json.dumps(components))
    spdx.write_text(json.dumps(packages))


def step(name: str, command: list[str], env: dict[str, str]) -> None:
    """Run a step and print how long it took.

    Raises:
        BuildError: it failed; with the end of its output.
    """
    started = time.monotonic()
    print(f"{name} …", end=" ", flush=True)
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        print("failed", flush=True)
        raise BuildError(
            f"{name}: {' '.join(command[:3])} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}"
        )
    print(f"{time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", help="name:tag of the image (shine:REVISION)")
    parser.add_argument(
        "--no-sbom", action="store_true", help="write no SBOM and no licences, do not measure the compressed size"
    )
    arguments = parser.parse_args()
    try:
        env = up()
        built = build(arguments.tag, env)
        print(f"{built.tag} {built.digest}")
        print(f"unpacked {built.bytes / MIB:.0f} MiB (limit {IMAGE_MOST})")
        if not arguments.no_sbom:
            print(f"compressed {compressed(built.tag, env) / MIB:.0f} MiB (limit {COMPRESSED_MOST})")
            bill(built.tag, env)
            print(f"SBOM and licences in {DIST.relative_to(ROOT)}/")
        if is_stand_in(env):
            print(
                "The base is a stand-in made on this machine, without a digest: FOR TESTS ONLY, never push this image."
            )
    except (BuildError, EngineError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
