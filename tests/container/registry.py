"""A real registry on loopback, which engines accept without TLS; with a password, as ECR has."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.server import free_port

PROGRAM = "docker-registry"  # Debian's package of that name
START_S = 20.0
# The password of `Registry` by bcrypt, the one that registries read.
HASHED = "$2b$04$gsgvrvEaMAVU/Tzlg8pAJOfyNFJVToRgXsEMfSGmPtST8WoPci97y"


@dataclass(frozen=True)
class Registry:
    """Where it listens, host:port, and who may push."""

    host: str
    user: str = "AWS"
    password: str = "of-twelve-hours"  # noqa: S105  of this registry alone

    def holds(self, repository: str, digest: str) -> bool:
        """Whether it holds an image under this digest."""
        url = f"http://{self.host}/v2/{repository}/manifests/{digest}"
        kinds = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
        answer = httpx.head(url, headers={"accept": kinds}, auth=(self.user, self.password), timeout=30)
        return answer.status_code == 200


@contextmanager
def registry_on_loopback(folder: Path) -> Iterator[Registry]:
    """Run one until the block ends; what it holds lies in the folder."""
    made = Registry(f"127.0.0.1:{free_port()}")
    (folder / "htpasswd").write_text(f"{made.user}:{HASHED}\n")
    configuration = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {"addr": made.host},
        "auth": {"htpasswd": {"realm": "shine", "path": str(folder / "htpasswd")}},
    }
    (folder / "registry.yml").write_text(json.dumps(configuration))
    with subprocess.Popen([PROGRAM, "serve", str(folder / "registry.yml")], stderr=subprocess.DEVNULL) as running:
        try:
            _wait(made)
            yield made
        finally:
            running.terminate()


def _wait(made: Registry) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            assert httpx.get(f"http://{made.host}/v2/", timeout=5).status_code == 401
            return
        except httpx.TransportError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
