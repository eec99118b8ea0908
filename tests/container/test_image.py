"""What is in the image, and what is not."""

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from deploy.image.build import COMPRESSED_MOST, DIST, IMAGE_MOST, MIB, bill, build, compressed
from tests.server import ROOT

HERE = Path(__file__).resolve().parent
BIN = Path(sys.executable).parent
SECRETS = re.compile(
    rb"-----BEGIN (RSA |EC |OPENSSH )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}|\b(AKIA|ASIA)[0-9A-Z]{16}\b"
    rb"|\bghp_[A-Za-z0-9]{36}|aws_secret_access_key\s*=\s*[A-Za-z0-9+/]{40}"
)
# What the engine puts into each container that it creates, with the time at which it did.
ENGINES = {"/.dockerenv", "/dev", "/dev/console", "/dev/pts", "/dev/shm", "/etc", "/etc/hostname", "/etc/hosts"}
ENGINES |= {"/etc/mtab", "/etc/resolv.conf", "/proc", "/sys"}
OF_THE_PAGE = {"blank.svg", "icon.svg", "portrait.jpg"}  # the portrait is in the public domain, see NOTICE
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".heic")


Files = dict[str, tuple[tarfile.TarInfo, bytes]]


def files_of(engine: dict[str, str], image: str) -> Files:
    """Every file of an image by its path, with its content where it is a plain file."""
    created = subprocess.run(["docker", "create", image], env=engine, capture_output=True, text=True, check=True)
    name = created.stdout.strip()
    try:
        packed = subprocess.run(["docker", "export", name], env=engine, capture_output=True, check=True).stdout
    finally:
        subprocess.run(["docker", "rm", name], env=engine, capture_output=True, check=True)
    entries: Files = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isfile() else None
            entries[f"/{member.name}"] = (member, b"" if content is None else content.read())
    return entries


@pytest.fixture(scope="session")
def files(engine: dict[str, str], image: str) -> Files:
    """The image's files."""
    return files_of(engine, image)


def inspected(engine: dict[str, str], image: str) -> dict[str, object]:
    output = subprocess.run(["docker", "image", "inspect", image], env=engine, capture_output=True, check=True).stdout
    config: dict[str, object] = json.loads(output)[0]
    return config


def test_it_is_small(engine: dict[str, str], image: str) -> None:
    unpacked = int(str(inspected(engine, image)["Size"])) / MIB
    packed = compressed(image, engine) / MIB
    print(f"unpacked {unpacked:.0f} MiB, compressed {packed:.0f} MiB")
    assert unpacked < IMAGE_MOST
    assert packed < COMPRESSED_MOST


def test_it_says_where_it_comes_from_and_under_which_terms(engine: dict[str, str], image: str) -> None:
    labels = inspected(engine, image)["Config"]["Labels"]  # type: ignore[index]
    manifest = json.loads((ROOT / "bentos/skin/weights/manifest.json").read_text())
    assert labels["org.opencontainers.image.version"] == "1.0.0"
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert "Apache-2.0" in labels["org.opencontainers.image.licenses"]
    assert "research" in labels["shine.weights.license"]
    assert labels["shine.model.version"] == manifest["version"]
    assert re.fullmatch("[0-9a-f]{64}", labels["shine.model.sha256"])


def test_nobody_in_it_is_root_or_becomes_root(engine: dict[str, str], image: str, files: Files) -> None:
    assert inspected(engine, image)["Config"]["User"] == "10001:10001"  # type: ignore[index]
    raised = [path for path, (entry, _) in files.items() if entry.isfile() and entry.mode & 0o6000]
    assert raised == []
    writable = [
        path
        for path, (entry, _) in files.items()
        if not entry.issym()
        and (entry.mode & 0o002 or entry.uid == 10001)
        and path not in ("/tmp", "/var/tmp", "/run/lock")
    ]
    assert [path for path in writable if not path.startswith(("/dev", "/proc", "/sys"))] == []


def test_it_holds_no_tools_tests_or_training(files: Files) -> None:
    programs = {Path(path).name for path in files if re.search(r"/s?bin/[^/]+$", path)}
    assert "python" in programs
    assert not programs & {"gcc", "cc", "g++", "make", "git", "pip", "pip3", "uv", "curl", "wget", "torch", "pytest"}
    code = [path for path in files if path.startswith("/app/bento/src/")]
    assert "/app/bento/src/service.py" in code
    assert [path for path in code if re.match(r"/app/bento/src/(tests|training|deploy|requirements|\.git)", path)] == []
    assert [path for path in files if re.search(r"site-packages/(torch|moto|pytest|scipy|onnx)(/|$)", path)] == []


def test_it_holds_no_secrets_and_no_pictures_but_those_of_the_page(files: Files) -> None:
    holding_secrets = {path for path, (_, content) in files.items() if SECRETS.search(content)}
    assert {
        path for path in holding_secrets if "/libgnutls.so" not in path
    } == set()  # which has a key for its own self-test
    # The base has Debian's logo, packages their icons: none of people.
    ours = [path for path in files if not re.match(r"/usr/share/|/app/.venv/", path)]
    pictures = {path for path in ours if path.lower().endswith(PICTURES)}
    assert {path.rpartition("/bentos/skin/web/")[2] for path in pictures} <= OF_THE_PAGE
    assert [path for path in files if Path(path).name in (".env", ".netrc", "credentials", "id_rsa", ".pypirc")] == []


def test_packages_are_those_of_the_lock(files: Files) -> None:
    lock = dict(re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==(\S+)", (ROOT / "requirements/runtime.txt").read_text(), re.M))
    installed = dict(re.findall(r"/site-packages/([A-Za-z0-9_.]+)-([^/-]+)\.dist-info/METADATA", "\n".join(files)))
    assert {re.sub("[-_.]+", "-", name).lower(): version for name, version in installed.items()} == lock


def test_two_builds_of_one_commit_have_the_same_content(engine: dict[str, str], files: Files) -> None:
    subprocess.run(["docker", "builder", "prune", "--all", "--force"], env=engine, capture_output=True, check=True)
    other = files_of(engine, build("shine:again", engine).tag)
    trees = [
        {
            path: (entry.mode, entry.uid, entry.gid, entry.mtime, entry.linkname, content)
            for path, (entry, content) in all_.items()
        }
        for all_ in (files, other)
    ]
    differing = {path for path in trees[0].keys() | trees[1].keys() if trees[0].get(path) != trees[1].get(path)}
    assert differing <= ENGINES, sorted(differing - ENGINES)


def test_the_bill_of_materials_lists_what_is_installed(engine: dict[str, str], image: str) -> None:
    bill(image, engine)
    parts = {part["name"].lower(): part for part in json.loads((DIST / "sbom.cdx.json").read_text())["components"]}
    for name in ("bentoml", "onnxruntime", "numpy", "pillow", "boto3", "libc6"):
        assert name in parts, name
    licences = (DIST / "licenses.txt").read_text()
    assert re.search(r"^bentoml \S+: Apache-2.0$", licences, re.M)
    for library in ("libheif", "libde265"):  # inside pi-heif's wheel
        assert re.search(rf"^{library} \d\S+: LGPL-3.0-or-later$", licences, re.M), library


def test_the_dockerfile_passes_hadolint() -> None:
    done = subprocess.run(
        [str(BIN / "hadolint"), "--failure-threshold", "warning", str(ROOT / "deploy/image/Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_structure_is_as_written(engine: dict[str, str], image: str) -> None:
    command = [
        str(BIN / "container-structure-test"),
        "test",
        "--image",
        image,
        "--config",
        str(HERE / "structure.yaml"),
    ]
    done = subprocess.run(command, env=engine, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
