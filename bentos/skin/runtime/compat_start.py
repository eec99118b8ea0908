"""The workarounds of compat.py about starting: development, reloading, and what cannot start."""

import errno
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bentos.skin.runtime.compat_fork import files_changed
from bentos.skin.runtime.compat_workers import when_free

log = logging.getLogger("shine.gateway")

RELOAD_S = 1.0  # how often --reload looks at the files
SOCKET_PATH_BYTES = 102  # BentoML's limit, below the kernel's 107
SOCKET_NAME = "/bentoml-uds-12345678/123456789012345.sock"  # how long BentoML's names in the temporary folder are


def start_with_both_runners() -> None:
    """Start the runners with --development too.

    BentoML makes them objects of the gateway's process then: without batches, and what kills one kills the service.
    Nothing else of its development mode matters to services of this kind. Can be removed when it starts dependencies.
    """
    import _bentoml_impl.server as server

    serve_http = server.serve_http

    def serve(*args: Any, development_mode: bool = False, **kwargs: Any) -> Any:
        if development_mode:
            log.info("development mode is served like any other, with both runners")
        return serve_http(*args, **kwargs)

    server.serve_http = serve


def say_why_it_cannot_start() -> None:
    """End a start that must fail with one sentence and exit code 1; BentoML ends it with a stack trace, or not at all.

    Can be removed when BentoML says it in one sentence; the check of `workers` stays.
    """
    import _bentoml_impl.server as server
    from bentoml._internal.container import BentoMLContainer

    serve_http = server.serve_http

    def serve(*args: Any, host: str | None = None, port: int | None = None, **kwargs: Any) -> Any:
        refuse_several_workers(BentoMLContainer.config.services.get())
        host = BentoMLContainer.http.host.get() if host is None else host
        port = BentoMLContainer.http.port.get() if port is None else port
        try:
            refuse_long_folder(tempfile.gettempdir())
            refuse_address(host, port)
            return serve_http(*args, host=host, port=port, **kwargs)
        except OSError as error:  # no room or no permission for a file
            raise SystemExit(f"shine: it cannot serve: {error}.") from None

    server.serve_http = serve


def refuse_several_workers(services: Mapping[str, Any]) -> None:
    """Refuse several processes of one service: counts, breakers and limits are those of one, and so is /ml/status.

    Args:
        services: BentoML's configuration, by the name of a service.

    Raises:
        SystemExit: with one sentence.
    """
    for name in ("Gateway", "SkinModel", "HeuristicFallback"):
        workers = (services.get(name) or {}).get("workers")
        if workers not in (None, 1):
            raise SystemExit(
                f"shine: workers of {name} is {workers!r}, which cannot be used: a service is one process, with "
                "SHINE_THREADS threads; for more, run more instances."
            )


def refuse_long_folder(folder: str) -> None:
    """Refuse a temporary folder in which the path of a unix socket would be too long.

    Raises:
        SystemExit: with one sentence.
    """
    longest = SOCKET_PATH_BYTES - len(SOCKET_NAME)
    length = len(os.fsencode(folder))
    if length > longest:
        raise SystemExit(
            f"shine: the temporary folder cannot be used: its path has {length} bytes, and {longest} are the most that "
            "leave room for the socket of a runner; set TMPDIR to a folder with a shorter path."
        )


def refuse_address(host: str, port: int) -> None:
    """Refuse an address on which nothing can listen.

    Raises:
        SystemExit: with one sentence.
    """
    if not 0 <= port < 65536:  # which getaddrinfo would take modulo 65536
        raise SystemExit(f"shine: {port} is not a port number from 0 to 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        remedy = "name another port by PORT or --port, or another address by --host"
        if error.errno == errno.EADDRINUSE:
            remedy = "stop what listens there, or name another port by PORT or --port"
        reason = (error.strerror or str(error)).lower()
        raise SystemExit(f"shine: it cannot listen on port {port} of {host}: {reason}; {remedy}.") from None


def reload_inside() -> None:
    """Let the parent itself look at the files for --reload.

    BentoML starts a process for it, which sends its commands to the arbiter's control port: see `keep_control_inside`.
    """
    import bentoml._internal.utils.circus as circus_utils
    from bentoml._internal.bento.build_config import BentoBuildConfig

    create_arbiter = circus_utils.create_standalone_arbiter

    def create_reloading_arbiter(*args: Any, plugins: Iterable[Mapping[str, str]] = (), **kwargs: Any) -> Any:
        arbiter = create_arbiter(*args, **kwargs)
        for plugin in plugins:  # one, with --reload
            folder = Path(plugin["working_dir"])
            patterns = BentoBuildConfig.from_bento_dir(str(folder)).include
            threading.Thread(target=watch, args=(arbiter, folder, patterns), name="reload", daemon=True).start()
        return arbiter

    def watch(arbiter: Any, folder: Path, patterns: Iterable[str]) -> None:
        observed = times(folder, patterns)
        while True:
            time.sleep(RELOAD_S)
            now = times(folder, patterns)
            changed = sorted({str(path.relative_to(folder)) for path, _ in observed.items() ^ now.items()})
            if changed:
                log.warning(
                    "files have changed, all workers are started anew", extra={"fields": {"files": changed[:3]}}
                )
                files_changed.set()
                arbiter.loop.add_callback(when_free, arbiter.restart)  # which stops the gateway first
            observed = now

    circus_utils.create_standalone_arbiter = create_reloading_arbiter


def times(folder: Path, patterns: Iterable[str]) -> dict[Path, int]:
    """When each file was changed last that the patterns of bentofile.yaml include, in nanoseconds."""
    result = {}
    for pattern in patterns:
        for path in folder.glob(pattern.lstrip("/")):
            try:
                result[path] = path.stat().st_mtime_ns
            except OSError:  # an editor is replacing it
                continue
    return result
