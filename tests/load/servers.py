"""How each server that is compared is started, and the tunings of it that are tried."""

import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from bentos.skin.cgroup import cpus
from tests.load.processes import PEERS_BIN, PROGRAMS, Broken, environment, start
from tests.load.ways import HttpWay, Tuning
from tests.server import ROOT, Server, free_port

PHASE = "hybrid"  # with the embedded weights
CORES = cpus()
BENTOML_WORKERS = 2  # of plain BentoML; its program says so

Starter = Callable[[Path, Tuning], HttpWay]


def service(folder: Path, tuning: Tuning, source: Path = ROOT) -> HttpWay:
    """This service, or an older commit of it, as `bentoml serve` starts it.

    Args:
        folder: for its log.
        tuning: none.
        source: this repository, or an older commit of it.

    Raises:
        Broken: it does not answer by the model.
    """
    server = Server(folder, cwd=source, PYTHONPATH=str(source), SHINE_PHASE=PHASE)
    way = HttpWay(server.process, server.port, folder, server.log, tuning, server)
    try:
        server.wait_for_workers()
    except AssertionError as error:
        way.stop()
        raise Broken(str(error)) from None
    except BaseException:
        way.stop()
        raise
    way.tree.sample()
    return way


def fastapi(folder: Path, tuning: Tuning) -> HttpWay:
    """FastAPI on uvicorn; raises as `service`."""
    port, settings = free_port(), tuning.settings
    command = ["uvicorn", "fastapi_peer:app", "--port", str(port), "--workers", str(settings["workers"])]
    command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    env = {"THREADS": str(settings["threads"]), "ONNX_THREADS": str(settings["onnx_threads"])}
    return _peer(folder, tuning, port, command, env)


def litserve(folder: Path, tuning: Tuning) -> HttpWay:
    """LitServe; raises as `service`."""
    port = free_port()
    command = ["python", str(PROGRAMS / "litserve_peer.py"), "--port", str(port)]
    command += [f"--{name.replace('_', '-')}={value}" for name, value in tuning.settings.items()]
    return _peer(folder, tuning, port, command, {}, ask=signal.SIGINT)  # by SIGTERM it leaves its workers behind


def plain_bentoml(folder: Path, tuning: Tuning) -> HttpWay:
    """BentoML as its documentation shows it; raises as `service`."""
    port = free_port()
    command = ["bentoml", "serve", "bentoml_peer:SkinAnalysis", "--host", "127.0.0.1", "--port", str(port)]
    env = {"BENTOML_HOME": tempfile.mkdtemp(prefix="bentoml-", dir=folder)}
    return _peer(folder, tuning, port, command, env, health="/healthz")


def _peer(
    folder: Path,
    tuning: Tuning,
    port: int,
    command: list[str],
    env: dict[str, str],
    *,
    ask: int = signal.SIGTERM,
    health: str = "/health",
) -> HttpWay:
    """A program of the peers' environment that listens on a port, as soon as it answers a photo."""
    program, *arguments = command
    log = folder / f"{program}-{port}.log"
    process = start([str(PEERS_BIN / program), *arguments], environment(ROOT, **env), log, PROGRAMS, speaks=False)
    way = HttpWay(process, port, folder, log, tuning, ask=ask, health=health)
    try:
        way.wait()
    except BaseException:
        way.stop()
        raise
    return way


def limit_tunings(quick: bool) -> list[Tuning]:
    """Processes × threads of the calls in process."""
    pairs = [(CORES, 1)] if quick else [(CORES, 1), (1, CORES), (CORES, 2), (1, 1)]
    return [Tuning({"processes": processes, "threads": threads}) for processes, threads in dict.fromkeys(pairs)]


def fastapi_tunings(quick: bool) -> list[Tuning]:
    """Workers × threads × threads of ONNX Runtime."""
    triples = [(CORES, 1, 1)]
    triples += [] if quick else [(1, CORES, 1), (CORES, 2, 1), (CORES, 1, CORES), (1, CORES, CORES)]
    names = ("workers", "threads", "onnx_threads")
    return [Tuning(dict(zip(names, triple, strict=True))) for triple in dict.fromkeys(triples)]


def litserve_tunings(quick: bool) -> list[Tuning]:
    """Workers, processes that speak HTTP, batches, queue."""
    plain = {"workers": CORES, "servers": 1, "batch": 1, "fast_queue": 0, "onnx_threads": 1}
    changes: list[dict[str, int]] = [{}]
    changes += (
        [] if quick else [{"fast_queue": 1}, {"servers": CORES}, {"batch": 4}, {"workers": 1, "onnx_threads": CORES}]
    )
    return [Tuning({**plain, **change}) for change in changes]
