"""The image under the platform's conditions: every phase, every signal, every process killed."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentos.skin.contract import health_command
from deploy.image import load
from deploy.image.container import Container
from tests.s3 import CREDENTIALS, S3
from tests.server import PORTRAIT, ROOT, free_port

Run = Callable[..., Container]
PHASES = ("simple", "hybrid", "foundation", "full")
SCRIPT = """
import os
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        words = open(f"/proc/{pid}/cmdline").read().split("\\0")
        state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    except OSError:
        continue
    name = words[words.index("--service-name") + 1] if "--service-name" in words else words[0].rpartition("/")[2]
    print(pid, state[0], state[1], name)
"""


def processes(running: Container) -> list[tuple[int, str, int, str]]:
    """pid, state, parent and name of each process inside."""
    rows = [line.split(maxsplit=3) for line in running.execute("python", "-c", SCRIPT).stdout.splitlines()]
    return [(int(row[0]), row[1], int(row[2]), row[3] if len(row) > 3 else "") for row in rows]


def worker(running: Container, name: str) -> int:
    """The pid of a service's worker; 0 where it is not there."""
    return next((pid for pid, state, _, own in processes(running) if own == name and state != "Z"), 0)


def analyze(running: Container) -> dict[str, Any]:
    status, body = load.send(running.url, PORTRAIT.read_bytes())
    assert status == 200, body
    return body


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    """A real S3 API outside of the container, on loopback."""
    running = S3()
    running.clear("weights")
    running.put_bundle("weights", "face-skin", ROOT / "bentos/skin/weights")
    yield running
    running.close()


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_answers_with_a_read_only_root_and_no_capabilities(run: Run, s3: S3, phase: str) -> None:
    outside = phase in ("foundation", "full")
    settings = {"SHINE_PHASE": phase}
    options: tuple[str, ...] = ()
    port = 5000
    if outside:  # S3 listens on this machine's loopback, so the container shares it
        port = free_port()
        settings |= {**CREDENTIALS, "AWS_ENDPOINT_URL": s3.url, "SHINE_WEIGHTS_URI": "s3://weights/face-skin"}
        settings |= {"PORT": str(port)}
        options = ("--network", "host")
    running = run(settings=settings, options=options, host_port=port if outside else None)
    running.wait()
    running.wait(state="disabled" if phase == "simple" else "ready")
    body = analyze(running)
    assert body["source"] == ("heuristic" if phase == "simple" else "model")
    assert body["degraded"] is False
    assert running.get("/ready")[0] == 200
    assert running.get("/version")[1]["phase"] == phase
    if outside:
        assert running.get("/ml/status")[1]["model"]["source"] == "s3://weights/face-skin"
    assert "Traceback" not in running.logs()


def test_only_tmp_is_written(run: Run) -> None:
    running = run()
    running.wait(state="ready")
    analyze(running)
    assert running.docker("diff", running.name).split() == []
    assert running.execute("touch", "/app/x").returncode != 0
    assert running.execute("sh", "-c", "touch /tmp/x").returncode == 0
    status = running.execute("sh", "-c", "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/1/status").stdout.split()
    assert "10001" in status
    assert status[status.index("CapEff:") + 1] == status[status.index("CapBnd:") + 1] == "0" * 16
    assert status[status.index("NoNewPrivs:") + 1] == "1"


def test_a_stop_under_load_loses_nothing(run: Run) -> None:
    running = run()
    running.wait(state="ready")
    analyze(running)
    answered: list[int] = []
    unsent = threading.Event()

    def client() -> None:
        while not unsent.is_set():
            answered.append(load.send(running.url, PORTRAIT.read_bytes())[0])

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    unsent.set()  # what is in flight is answered; what comes later goes to another task
    seconds = running.stop()
    for thread in threads:
        thread.join()
    assert len(answered) > 10
    assert set(answered) == {200}
    state = running.inspect()["State"]
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    assert seconds < 25


def test_the_health_command_goes_healthy_and_unhealthy(run: Run) -> None:
    command = " ".join(["python", "-c", f'"{health_command(5000)[-1]}"'])
    running = run(
        options=(
            *("--health-cmd", command, "--health-interval", "5s", "--health-timeout", "5s"),
            *("--health-retries", "3", "--health-start-period", "20s"),
        )
    )

    def until(status: str, within_s: float) -> float:
        began = time.monotonic()
        while running.inspect()["State"]["Health"]["Status"] != status:
            assert time.monotonic() < began + within_s, running.inspect()["State"]["Health"]
            time.sleep(0.5)
        return time.monotonic() - began

    until("healthy", 60)
    time.sleep(max(0.0, running.started_at + 20 - time.monotonic()))  # the start period
    gateway = worker(running, "Gateway")
    assert running.execute("sh", "-c", f"kill -STOP {gateway}").returncode == 0
    assert until("unhealthy", 60) < 60
    running.execute("sh", "-c", f"kill -CONT {gateway}")
    until("healthy", 60)


@pytest.mark.parametrize("name", ["SkinModel", "HeuristicFallback", "Gateway"])
def test_a_killed_worker_is_answered_for_and_comes_back(run: Run, name: str) -> None:
    running = run()
    running.wait(state="ready")
    analyze(running)
    before = worker(running, name)
    assert running.execute("sh", "-c", f"kill -KILL {before}").returncode == 0
    if name != "Gateway":  # nobody can answer for the one that holds the port; the load balancer's other task does
        assert analyze(running)["concerns"]["acne"]["source"] in ("model", "heuristic")
    ends = time.monotonic() + 60
    while worker(running, name) in (0, before) and time.monotonic() < ends:
        time.sleep(0.3)
    running.wait(within_s=120)
    ends = time.monotonic() + 60
    while analyze(running)["source"] != "model" and time.monotonic() < ends:
        time.sleep(0.5)
    assert analyze(running)["source"] == "model"
    assert running.inspect()["RestartCount"] == 0
    assert running.inspect()["State"]["Status"] == "running"


def test_pid_1_reaps_orphans(run: Run) -> None:
    running = run()
    running.wait()
    running.execute("sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.2 &) ; done")
    time.sleep(4)
    assert [row for row in processes(running) if row[1] == "Z"] == []
    assert not [row for row in processes(running) if row[3] == "sleep"]


def test_half_a_cpu_gives_one_thread_and_still_answers(run: Run) -> None:
    running = run(cpus=0.5)
    running.wait(within_s=120, state="ready")
    analyze(running)
    assert analyze(running)["source"] == "model"
    asked = "from bentos.skin.cgroup import cpus; print(cpus())"
    assert running.execute("python", "-c", asked).stdout.strip() == "1"


def test_runners_listen_on_no_tcp_port(run: Run) -> None:
    running = run()
    running.wait(state="ready")
    listed = running.execute("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6").stdout
    listening = {row.split()[1] for row in listed.splitlines() if " 0A " in row}
    open_to_all = {address for address in listening if not address.startswith("0100007F:")}
    assert open_to_all == {"00000000:1388"}  # 5000


def test_signals_reach_the_server(run: Run) -> None:
    running = run()
    running.wait(state="ready")
    running.docker("kill", "--signal", "TERM", running.name)
    ends = time.monotonic() + 30
    while running.inspect()["State"]["Status"] != "exited" and time.monotonic() < ends:
        time.sleep(0.2)
    assert running.inspect()["State"]["ExitCode"] == 0


def test_the_least_memory_holds_under_load(run: Run, engine: dict[str, str], image: str) -> None:
    seconds = float(os.environ.get("SECONDS_MEMORY", "600"))
    least = run_contract(engine, image)["minimum"]["memory_mib"]
    running = run(memory_mib=least)
    running.wait(state="ready")
    with load.clients(running.url, load.photos()) as tally:
        time.sleep(seconds)
    print(f"{len(tally.statuses)} answers in {seconds:.0f} s within {least} MiB, slowest {max(tally.seconds):.1f} s")
    assert (tally.wrong, tally.lost) == ([], 0)
    assert len(tally.sources) > seconds / 5
    assert "a worker ended by itself" not in running.logs()
    assert running.inspect()["State"]["OOMKilled"] is False


def run_contract(engine: dict[str, str], image: str) -> Any:
    done = subprocess.run(["docker", "run", "--rm", image, "contract"], env=engine, capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """nginx before a service, as the load balancer is: connections kept for 60 s, idle ones reused."""
    if not Path("/usr/sbin/nginx").exists():
        pytest.skip("no nginx: apt-get install nginx-light")
    started: list[subprocess.Popen[bytes]] = []

    def start(url: str) -> str:
        port = free_port()
        (tmp_path / "nginx.conf").write_text(
            f"""
            daemon off; user root; pid {tmp_path}/pid; error_log {tmp_path}/error.log warn; worker_processes 1;
            events {{ worker_connections 512; }}
            http {{
              access_log off; client_body_temp_path {tmp_path}; proxy_temp_path {tmp_path};
              fastcgi_temp_path {tmp_path}; uwsgi_temp_path {tmp_path}; scgi_temp_path {tmp_path};
              upstream service {{ server {url.removeprefix("http://")} max_fails=0; keepalive 32; keepalive_timeout 60s;
                keepalive_requests 100000; }}
              server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://service; proxy_http_version 1.1;
                proxy_set_header Connection ""; proxy_next_upstream off; }} }}
            }}"""
        )
        started.append(subprocess.Popen(["/usr/sbin/nginx", "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"]))
        return f"http://127.0.0.1:{port}"

    yield start
    for sender in started:
        sender.send_signal(signal.SIGTERM)
        sender.wait(20)


def test_ten_thousand_requests_through_a_load_balancer_without_a_502(run: Run, nginx: Callable[[str], str]) -> None:
    running = run()
    running.wait(state="ready")
    url = nginx(running.url)
    statuses: list[int] = []
    numbers = iter(range(10_000))
    lock = threading.Lock()

    def client() -> None:
        with httpx.Client(base_url=url, timeout=30) as asked:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                if number % 50 == 0:
                    statuses.append(load.send(url, PORTRAIT.read_bytes())[0])
                else:
                    statuses.append(asked.get("/health").status_code)
                if number == 5_000:
                    time.sleep(62)  # idle connections reach the load balancer's timeout

    threads = [threading.Thread(target=client) for _ in range(8)]
    time.sleep(1)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 10_000
    assert set(statuses) == {200}
