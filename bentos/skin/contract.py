"""What the image needs and offers, as JSON, without starting the server: `docker run IMAGE contract`.

    python -m bentos.skin.contract              # the contract
    python -m bentos.skin.contract --schema     # its JSON schema

The rollout tool reads it, so that port, health path and the like have one source. Seconds and bytes were measured on
the image itself by deploy/image/measure.py, which writes measured.json.
"""

import argparse
import json
import platform
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bentos.skin import __version__, cgroup
from bentos.skin import settings as config
from bentos.skin.model.bundle import BundleError, read
from bentos.skin.model.engine import EMBEDDED
from bentos.skin.runtime import routes
from bentos.skin.runtime.middleware import GET_PATHS
from bentos.skin.runtime.uploads import upload_specs
from bentos.skin.schema import ModelInfo
from bentos.skin.settings import (
    GATEWAY_GRACE_S,
    HEALTH_PATH,
    KEEP_ALIVE_S,
    OPEN_PATHS,
    PREFIX,
    RUNNER_GRACE_S,
    Phase,
    Settings,
)

CONTRACT_VERSION: Literal[1] = 1
MEASURED = Path(__file__).with_name("measured.json")
UID = GID = 10001  # deploy/image/Dockerfile; numeric, so that platforms can see that it is not root
HEALTH_TIMEOUT_S = 4  # of the check's own request; below the 5 s that the platform gives the check
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
MIB = 1 << 20

S3_HOSTS = ["s3.{region}.amazonaws.com", "{bucket}.s3.{region}.amazonaws.com"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Measured(_Part):
    """What deploy/image/measure.py measured.

    Attributes:
        start_s: from `docker run` to the first 200 of /health, and to the first answer of the model.
        stop_s: from `docker stop` to the end, idle, and with photos in flight.
        health_s: one run of the health command, the first and the usual one.
        memory_idle_mib: once the model has answered.
        memory_load_mib: highest, under the load that `load` describes.
        memory_minimum_mib: the lowest limit under which that load is answered, with some reserve.
        cpu_minimum: the fewest CPUs with which the model answers within its deadline.
        photos_per_minute: of one megapixel, answered on one CPU by the model; autoscaling's default follows from it.
        image_mib, compressed_mib: sizes.
        load: the requests of the measurement.
        machine: where it was measured.
    """

    start_s: dict[Literal["health", "model"], float]
    stop_s: dict[Literal["idle", "busy"], float]
    health_s: dict[Literal["cold", "warm"], float]
    memory_idle_mib: int
    memory_load_mib: int
    memory_minimum_mib: int
    cpu_minimum: float
    photos_per_minute: int | None = None
    image_mib: int
    compressed_mib: int
    load: str
    machine: str


class Health(_Part):
    """The health check: whether the process can answer; never depends on the model."""

    path: str
    command: list[str]
    timeout_s: int


class Resources(_Part):
    """Minimum of memory, in MiB, and of CPUs, as measured."""

    memory_mib: int
    cpus: float


class Seconds(_Part):
    """Times that a platform must allow.

    Attributes:
        start: until /health answers.
        stop: at most, from SIGTERM to the end; stopTimeout must be longer.
        slowest_request: the request's deadline.
        keep_alive: of idle connections; the load balancer's idle timeout must be shorter.
    """

    start: float
    stop: float
    slowest_request: float
    keep_alive: float


class Setting(_Part):
    """An environment variable; `type` is its JSON schema."""

    name: str
    type: dict[str, Any]
    default: Any
    secret: bool


class Endpoint(_Part):
    """An endpoint; `open`: it is answered without an API key."""

    method: Literal["GET", "POST"]
    path: str
    open: bool


class Egress(_Part):
    """Hosts that the service must be able to connect to."""

    purpose: str
    hosts: list[str]
    port: int


class Contract(_Part):
    """The whole contract; within a contract version, keys are only added."""

    contract_version: Literal[1]
    service: str
    version: str
    revision: str | None
    architecture: str
    port: int
    health: Health
    ready_path: str
    user: dict[Literal["uid", "gid"], int]
    writable_paths: list[str]
    minimum: Resources
    seconds: Seconds
    settings: list[Setting]
    endpoints: list[Endpoint]
    secrets: list[str]
    egress: dict[Phase, list[Egress]]
    weights: ModelInfo | None
    measured: Measured


def contract() -> Contract:
    """The contract of this image.

    Raises:
        SystemExit: PORT is not a port number.
    """
    port, figures, all_settings = config.port(), measured(), settings()
    s3 = [Egress(purpose="weights, where SHINE_WEIGHTS_URI names S3", hosts=S3_HOSTS, port=443)]
    defaults = Settings()
    return Contract(
        contract_version=CONTRACT_VERSION,
        service="shine",
        version=__version__,
        revision=routes.revision(),
        architecture=ARCHITECTURES.get(platform.machine(), platform.machine()),
        port=port,
        health=Health(path=HEALTH_PATH, command=health_command(port), timeout_s=HEALTH_TIMEOUT_S),
        ready_path="/ready",
        user={"uid": UID, "gid": GID},
        writable_paths=["/tmp"],  # noqa: S108  a path in the container
        minimum=Resources(memory_mib=figures.memory_minimum_mib, cpus=figures.cpu_minimum),
        seconds=Seconds(
            start=figures.start_s["health"],
            stop=GATEWAY_GRACE_S + RUNNER_GRACE_S,
            slowest_request=defaults.request_deadline_s,
            keep_alive=KEEP_ALIVE_S,
        ),
        settings=all_settings,
        endpoints=[
            *(Endpoint(method="POST", path=path, open=False) for path in sorted(upload_specs(defaults))),
            *(Endpoint(method="GET", path=path, open=path in OPEN_PATHS) for path in sorted(GET_PATHS)),
        ],
        secrets=[setting.name for setting in all_settings if setting.secret],
        egress={"simple": [], "hybrid": [], "foundation": s3, "full": s3},
        weights=weights(),
        measured=figures,
    )


def health_command(port: int) -> list[str]:
    """The container's health check in ECS's form; Python, since there is no curl in the image."""
    url = f"http://127.0.0.1:{port}{HEALTH_PATH}"
    return ["CMD", "python", "-c", f"import urllib.request as u; u.urlopen('{url}', timeout={HEALTH_TIMEOUT_S})"]


def settings() -> list[Setting]:
    """Every setting of the service."""
    schema = Settings.model_json_schema()
    listed = []
    for name, field in schema["properties"].items():
        secret = "writeOnly" in json.dumps(field)
        kind = {key: value for key, value in field.items() if key not in ("default", "title")}
        listed.append(Setting(name=PREFIX + name.upper(), type=kind, default=field.get("default"), secret=secret))
    return listed


def weights() -> ModelInfo | None:
    """The embedded weights; None where they are missing or broken."""
    try:
        bundle = read(EMBEDDED)
    except BundleError:
        return None
    return ModelInfo(name=bundle.manifest.name, version=bundle.manifest.version, sha256=bundle.sha256)


def measured() -> Measured:
    """The figures of measured.json."""
    return Measured.model_validate_json(MEASURED.read_text())


def refuse_too_little_memory() -> None:
    """Refuse to start where the container's memory limit is below the minimum.

    Raises:
        SystemExit: with one sentence; otherwise the kernel would kill the service while it analyses a photo.
    """
    memory, needed = cgroup.memory(), measured().memory_minimum_mib
    if memory is not None and 0 < memory.limit < needed * MIB:
        raise SystemExit(
            f"shine: the memory limit is {memory.limit // MIB} MiB; this image needs {needed} MiB, measured under load."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", action="store_true", help="print the JSON schema instead")
    arguments = parser.parse_args()
    document = Contract.model_json_schema() if arguments.schema else contract().model_dump()
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
