"""A cleaner of /tmp removes a running server's files; and its parent process is killed: nobody waits for anything."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from tests.server import WORKERS, Server
from tests.service.traffic import FAKE_ENGINE, Engine, ask, client_of, closed, drawn_photos, until

pytestmark = pytest.mark.long  # workers are killed and come back
WITHOUT_WORKAROUNDS = "tests.service.without_workarounds:Gateway"
PHOTO = drawn_photos()[0]
LAST_RESORT = "shine_last_resort_total"  # measured in the gateway's own process
BACK_S = 30.0  # for a worker to be back: it starts in about 3 s where nothing else runs
RESTORED_S = 5.0  # for the metrics files to be written again
PROBES = ("/health", "/ready", "/livez", "/readyz", "/metrics", "/ml/status")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("vanished")
    running = Server(folder, FAKE_ENGINE, **Engine(folder).env)
    try:
        yield running.wait_for_workers()
    finally:
        running.stop()


def counted(server: Server, line: str) -> float:
    """The value of a metric, by the beginning of its line, over all its labels."""
    lines = httpx.get(server.url + "/metrics").text.splitlines()
    return sum(float(x.rpartition(" ")[2]) for x in lines if x.startswith(line))


def both_runners_answer(server: Server) -> bool:
    """Whether a photo is answered by the model, and was measured by the other runner."""
    before = counted(server, LAST_RESORT)
    with client_of(server) as client:
        answer = ask(client, PHOTO)
    return (answer.status, answer.body.get("source")) == (200, "model") and counted(server, LAST_RESORT) == before


def is_well(server: Server) -> None:
    """Assert that every endpoint that may need a file answers, and both runners do, late at most on a busy machine."""
    with client_of(server) as client:
        assert {ask(client, PHOTO).status for _ in range(3)} == {200}
        assert client.post("/overlay", files={"image": PHOTO}).status_code == 200
        assert {path: client.get(path).status_code for path in PROBES} == dict.fromkeys(PROBES, 200)
    until(lambda: all(both_runners_answer(server) for _ in range(3)) and closed(server), BACK_S, "both answer")


def kill(server: Server, worker: str) -> None:
    """Kill a worker, and wait until another answers in its place."""
    old = server.worker(worker)
    old.kill()
    until(lambda: is_another(server, worker, old) and both_runners_answer(server), BACK_S, f"{worker} is back")
    until(lambda: closed(server), BACK_S, "healed")


def is_another(server: Server, worker: str, old: psutil.Process) -> bool:
    """Whether the gateway answers, and a worker is not the one of before."""
    try:
        httpx.get(server.url + "/health", timeout=5)
        return server.worker(worker).pid != old.pid
    except (LookupError, httpx.TransportError):
        return False


def test_metrics_files_that_were_removed_are_written_again_with_what_was_counted(service: Server) -> None:
    is_well(service)
    folder = service.metrics_folder()
    files = {path.name for path in folder.glob("*.db")}
    photos = counted(service, 'shine_answers_total{reason="",source="model"}')
    calls = counted(service, 'bentoml_service_request_total{endpoint="/measure"')
    assert min(photos, calls) >= 3
    (folder / sorted(files)[0]).unlink()
    is_well(service)
    shutil.rmtree(folder)
    assert httpx.get(service.url + "/metrics").status_code == 200  # at once
    until(lambda: {path.name for path in folder.glob("*.db")} == files, RESTORED_S, "the files are there again")
    assert counted(service, 'shine_answers_total{reason="",source="model"}') >= photos
    assert counted(service, 'bentoml_service_request_total{endpoint="/measure"') >= calls
    assert folder.stat().st_mode & 0o777 == 0o700
    is_well(service)


def test_the_whole_temporary_folder_may_vanish_and_workers_die_afterwards(service: Server) -> None:
    sockets = list(service.tmp.glob("bentoml-uds-*/*.sock"))
    assert len(sockets) == 2
    shutil.rmtree(service.tmp)
    is_well(service)
    for worker in ("Gateway", "HeuristicFallback", "SkinModel"):
        kill(service, worker)
    assert not any(path.exists() for path in sockets)
    is_well(service)


def test_no_worker_outlives_a_parent_that_was_killed(service: Server) -> None:
    workers = [service.worker(name) for name in WORKERS]
    workers[1].suspend()  # one that cannot notice it by itself
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait(5)
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []
    socket.create_server(("127.0.0.1", service.port)).close()


# --- without the workarounds, which may go once these fail ------------------------------------------------------------


def test_without_an_open_handle_a_runner_is_lost_with_the_file_of_its_socket(serve: Callable[..., Server]) -> None:
    server = serve(WITHOUT_WORKAROUNDS, SHINE_PHASE="simple", WITHOUT="keep_runner_sockets").wait_for_workers()
    old = server.worker("HeuristicFallback")
    for path in server.tmp.glob("bentoml-uds-*/*.sock"):
        path.unlink()
    old.kill()
    until(lambda: is_another(server, "HeuristicFallback", old), BACK_S, "the runner is back")
    time.sleep(5)  # it has started
    with client_of(server) as client:
        assert ask(client, PHOTO).status == 200
    assert counted(server, LAST_RESORT) > 0


def test_without_a_signal_of_the_kernel_workers_outlive_their_parent(serve: Callable[..., Server]) -> None:
    server = serve(WITHOUT_WORKAROUNDS, SHINE_PHASE="simple", WITHOUT="end_with_parent").wait()
    workers = [server.worker(name) for name in WORKERS]
    server.process.kill()
    server.process.wait(5)
    gone, alive = psutil.wait_procs(workers, timeout=3)
    for worker in alive:
        worker.kill()
    assert gone == []
