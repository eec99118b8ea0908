"""Every setting of the service, one a line, with its reason.

All are environment variables with the prefix SHINE_; `PORT` alone is shared with the platform. The service
refuses to start with a misspelt name and suggests the nearest valid one, so that no setting is silently ignored.
"""

import difflib
import ipaddress
import os
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from bentos.skin.keys import KeyUnusable, read_entry

PREFIX = "SHINE_"
PORT = 5000  # one port in every environment; PORT overrides it
HEALTH_PATH = "/health"  # one health path, for the container's check and the load balancer's
PAGE_PATH = "/demo"  # of the web page; its files are below it
# Answered without an API key, as is everything below the page's path.
OPEN_PATHS = frozenset({HEALTH_PATH, "/livez", "/ready", "/readyz", "/", PAGE_PATH})
KEEP_ALIVE_S = 75  # above the 60 s for which an Application Load Balancer keeps an idle connection
GATEWAY_GRACE_S = 20  # from SIGTERM to SIGKILL; BentoML's is a day, and a stopped worker would use it
RUNNER_GRACE_S = 5  # the same for a runner, after the gateway has ended; both together are shorter than the 30 s of ECS
DRILL_HEADER, DRILL = "X-Shine-Drill", "fallback"  # header of a photo request: answer it as if there were no model
DEADLINE_HEADER = "X-Request-Deadline-Ms"  # header of a photo request: how long its client waits
MAX_BATCH_PHOTOS = 16  # photos in one /analyze_batch
MAX_BATCH_BODY_MIB = 64  # all of them together
INJECTED = re.compile(r"SHINE_.*_SERVICE_.*|SHINE_.*_PORT.*|SHINE_PORT.*|SHINE_SERVICE_.*")  # Kubernetes, ECS links

# Scheme, host and perhaps a port, and what people write around it.
ORIGIN = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?:[^/?#@\s]*@)?"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{0,5}))?(?:[/?#]\S*)?"
)
EXAMPLE_ORIGIN = "https://app.example.com"
DEFAULT_PORTS = {"http": 80, "https": 443}
SCHEMES = (*DEFAULT_PORTS, "capacitor", "ionic", "tauri")  # apps may have others; a near miss is a misspelling
NO_ORIGIN = ("about", "blob", "data", "file", "ftp", "javascript", "ws", "wss")  # their pages have none of their own

Phase = Literal["simple", "hybrid", "foundation", "full"]


class SettingsError(ValueError):
    """A setting is misspelt or has an invalid value; the message names it and what is valid."""


class Settings(BaseModel):
    """Typed settings, read once from the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phase: Phase = "hybrid"  # of the rollout: one image, four settings
    weights_uri: str | None = None  # folder or s3:// of a weights bundle; unset: the embedded bundle
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None  # pin of the manifest
    weights_poll_s: Annotated[float, Field(ge=1)] = 60.0  # how often an unpinned source is checked for a new version
    cache_dir: Path = Path("/tmp/shine")  # noqa: S108  weights fetched before; the container's one writable place
    require_model: bool = False  # true: 503 model_unavailable instead of heuristic answers
    model_deadline_ms: Annotated[int, Field(ge=10)] = 2000  # of a model batch; at most half of the request's counts
    request_deadline_ms: Annotated[int, Field(ge=100)] = 10_000  # load balancers and phones give up soon after
    max_pending: Annotated[int, Field(ge=1)] = 32  # concurrent photos; more would only wait past their deadline
    threads: Annotated[int, Field(ge=0)] = 0  # numeric threads of each process; 0: from the CPU quota
    max_batch_size: Annotated[int, Field(ge=2, le=64)] = 8  # larger batches gain nothing on a CPU; BentoML refuses 1
    upload_grace_s: Annotated[float, Field(ge=1, le=600)] = 10.0  # until a body's rate counts; radio links begin slowly
    min_upload_kib_s: Annotated[float, Field(ge=1, le=1024)] = 8.0  # a slower body is cut; poor mobile uplinks give 30
    max_body_mib: Annotated[float, Field(gt=0, le=1024)] = 10.0  # one photo, base64 counted decoded
    max_megapixels: Annotated[float, Field(gt=0, le=1000)] = 40.0  # decoding cost grows with pixels, not with bytes
    api_keys: tuple[SecretStr, ...] = ()  # comma separated, plain or hashed (see keys.py); several at once for rotation
    rate_per_minute: Annotated[int, Field(ge=0)] = 0  # photos a minute for each key, in each instance; 0: no limit
    cors_origins: tuple[str, ...] = ()  # comma separated, exact; none: browsers stay outside
    cors_private_network: bool = False  # true: those pages may call a service in the user's own network
    quality: Literal["off", "normal", "strict"] = "normal"  # strict: issues are refused by 422; off: none are told
    log_format: Literal["json", "text"] = "json"  # text for people at a terminal
    log_emf: bool = False  # true: photo requests' lines carry CloudWatch metrics (EMF), where no agent scrapes /metrics

    @field_validator("api_keys", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("api_keys")
    @classmethod
    def _some_key(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not keys:  # runs only where the variable is set
            raise ValueError("it names no key; leave it unset to answer everybody")
        for number, key in enumerate(keys, 1):
            try:
                read_entry(key.get_secret_value())
            except KeyUnusable as error:
                raise ValueError(f"entry {number} of {len(keys)} {error}") from None
        return keys

    @field_validator("rate_per_minute")
    @classmethod
    def _rate_of_keys(cls, rate: int, info: ValidationInfo) -> int:
        if rate and not info.data.get("api_keys"):
            raise ValueError("it counts by API key, and SHINE_API_KEYS is not set")
        return rate

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            right = serialized_origin(origin)
            if origin != right:
                raise ValueError(f"browsers never send {origin!r} as an origin; write {right!r}")
        return origins

    @field_validator("cors_private_network")
    @classmethod
    def _private_network_of_origins(cls, on: bool, info: ValidationInfo) -> bool:
        if on and not info.data.get("cors_origins"):
            raise ValueError("it is about the pages in SHINE_CORS_ORIGINS, which is not set")
        return on

    @field_validator("log_emf")
    @classmethod
    def _in_json(cls, on: bool, info: ValidationInfo) -> bool:
        if on and info.data.get("log_format") == "text":
            raise ValueError("metrics embedded in log lines need SHINE_LOG_FORMAT=json, not text")
        return on

    @property
    def wants_model(self) -> bool:
        """Whether the phase uses the model; all but the first do."""
        return self.phase != "simple"

    @property
    def max_photo_bytes(self) -> int:
        return int(self.max_body_mib * 2**20)

    @property
    def min_upload_bytes_per_s(self) -> float:
        return self.min_upload_kib_s * 1024

    @property
    def max_pixels(self) -> int:
        return int(self.max_megapixels * 1e6)

    @property
    def model_deadline_s(self) -> float:
        return self.model_deadline_ms / 1000

    @property
    def request_deadline_s(self) -> float:
        return self.request_deadline_ms / 1000


def serialized_origin(text: str) -> str:
    """The form in which browsers send an origin (HTML standard, 7.1.1): lower case, no default port, no path.

    Args:
        text: an origin, or the address of a page there.

    Raises:
        ValueError: no page has such an origin; with what would be right.
    """
    if text.lower() == "null":
        raise ValueError("'null' is the origin of all files and sandboxed frames; serve the page instead")
    match = ORIGIN.fullmatch(text)
    if match is None:
        without_scheme = "://" not in text and ORIGIN.fullmatch(f"https://{text}")
        example = serialized_origin(f"https://{text}") if without_scheme else EXAMPLE_ORIGIN
        raise ValueError(f"{text!r} is no origin; list each as browsers send it, e.g. {example}")
    scheme, host, port = match["scheme"].lower(), match["host"].lower(), match["port"]
    near = difflib.get_close_matches(scheme, SCHEMES, n=1, cutoff=0.75)
    if scheme in NO_ORIGIN or (near and scheme not in SCHEMES):
        raise ValueError(f"no page comes from {scheme}://; did you mean {near[0] if near else 'https'}://{host}?")
    if not host.isascii():
        raise ValueError(f"browsers send the host {host!r} in ASCII; write it so, beginning with xn--")
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            raise ValueError(f"{host} in {text!r} is no IPv6 address") from None
    if not port or int(port) == DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    if int(port) > 65535:
        raise ValueError(f"{port} in {text!r} is no port")
    return f"{scheme}://{host}:{int(port)}"


def read(environ: dict[str, str]) -> Settings:
    """Settings from an environment.

    Raises:
        SettingsError: an unknown SHINE_ name (with the nearest valid one), or an invalid value.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environ):
        if name.upper().startswith(PREFIX) and name not in known and not INJECTED.fullmatch(name):
            near = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}."
            raise SettingsError(f"{name} is not a setting of this service; {hint}")
    values = {name: environ[key] for name in Settings.model_fields if (key := PREFIX + name.upper()) in environ}
    # An empty string is how task definitions and compose files say "not set".
    values = {name: value for name, value in values.items() if value.strip()}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        shown = "" if name == "SHINE_API_KEYS" else f" is {environ.get(name)!r}, which"
        raise SettingsError(f"{name}{shown} cannot be used: {first['msg'].removeprefix('Value error, ')}.") from None


def check_weights_uri(uri: str, name: str = f"{PREFIX}WEIGHTS_URI") -> None:
    """Check that weights can be had from there, whether or not any are there at the moment.

    Args:
        uri: a folder, or s3://bucket/prefix.
        name: of the setting or argument.

    Raises:
        SettingsError: neither a folder nor `s3://` with a bucket.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and not (scheme == "s3" and rest.partition("/")[0]):
        shown = re.sub("//.*@", "//", uri.partition("?")[0])  # no password, no signature
        raise SettingsError(f"{name} is {shown!r}, which cannot be used: name a folder or s3://bucket/prefix.")


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises:
        SystemExit: with one sentence, so that a wrong setting stops the start without a stack trace.
    """
    try:
        values = read(dict(os.environ))
        if values.weights_uri is not None:
            check_weights_uri(values.weights_uri)
        return values
    except SettingsError as error:
        raise SystemExit(f"shine: {error}") from None


def port() -> int:
    """The port to listen on: PORT when set, else 5000.

    Raises:
        SystemExit: PORT is not a port number.
    """
    text = os.environ.get("PORT", "").strip() or str(PORT)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SystemExit(f"shine: PORT is {text!r}, which is not a port number from 1 to 65535.")
    return int(text)
