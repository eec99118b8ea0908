"""The fake ECS with the service itself: real starts, real photos, real weights out of S3."""

import json
import os
import signal
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.deploy.aws import GROUP, SECRET_VALUE
from tests.fake_ecs import FakeEcs
from tests.fake_ecs.driver import Driver
from tests.server import PORTRAIT

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
KEY = {"x-api-key": SECRET_VALUE}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """Two real tasks in phase simple; tests may update them, and leave two good ones."""
    with FakeEcs(tmp_path_factory.mktemp("fake_ecs")) as fake_ecs:
        driver = Driver(fake_ecs)
        driver.settled(driver.create(driver.register("good"))["deployments"][0]["id"])
        yield driver


@pytest.fixture(scope="module")
def alone(running: Driver) -> Driver:
    """One task, to be updated to others; comes after the tests that want two."""
    running.settled(running.update(running.register("stub"), desiredCount=1))
    return running


def analysed(url: str, **options: Any) -> httpx.Response:
    with PORTRAIT.open("rb") as portrait:
        return httpx.post(url + "/analyze", files={"image": portrait}, timeout=30, **options)


def test_real_tasks_answer_photos_through_the_load_balancer(running: Driver) -> None:
    answer = analysed(running.fake_ecs.base_url)
    assert (answer.status_code, answer.json()["reason"]) == (200, "model_disabled")
    trusted = ssl.create_default_context(cafile=str(running.fake_ecs.trusted))
    assert analysed(running.fake_ecs.secure_url, verify=trusted).status_code == 200
    asked = {"Origin": running.fake_ecs.plan.front_end, "Access-Control-Request-Method": "POST"}
    allowed = httpx.options(running.fake_ecs.base_url + "/analyze", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == running.fake_ecs.plan.front_end


def test_an_update_of_real_tasks_loses_no_photo(running: Driver) -> None:
    statuses: list[int] = []
    over = threading.Event()

    def stream() -> None:
        while not over.wait(0.1):
            statuses.append(analysed(running.fake_ecs.base_url).status_code)

    thread = threading.Thread(target=stream)
    thread.start()
    running.settled(running.update(running.register("good-next")))
    over.set()
    thread.join()
    assert len(statuses) > 10
    assert set(statuses) == {200}
    assert {task["containers"][0]["imageDigest"] for task in running.tasks()} == {running.fake_ecs.digests["good-next"]}
    assert {task["containers"][0]["exitCode"] for task in running.tasks("STOPPED")} == {0}


def test_phase_full_has_its_weights_from_s3_its_keys_from_the_secret_and_its_log_in_json(running: Driver) -> None:
    running.settled(running.update(running.register("good-next", "full")))
    url = running.fake_ecs.base_url
    running.until(lambda: httpx.get(url + "/ready").status_code == 200)
    assert analysed(url).status_code == 401
    answer = analysed(url, headers=KEY).json()
    assert (answer["source"], answer["degraded"]) == ("model", False)
    status = httpx.get(url + "/ml/status", headers=KEY).json()
    assert status["model"]["sha256"] == running.fake_ecs.plan.weights.sha256  # type: ignore[union-attr]
    assert status["model"]["source"] == running.fake_ecs.plan.weights.uri  # type: ignore[union-attr]
    arn = running.tasks()[0]["taskArn"]
    logs = running.fake_ecs.client("logs").filter_log_events(logGroupName=GROUP)["events"]
    own = [log["message"] for log in logs if log["logStreamName"].endswith(arn[-32:])]
    assert {"time", "level", "message"} <= json.loads(own[-1]).keys()


def test_a_service_that_finds_something_else(alone: Driver) -> None:
    alone.settled(alone.update(alone.register("golden-differs")))
    acne = analysed(alone.fake_ecs.base_url).json()["concerns"]["acne"]
    assert (acne["severity"], acne["score"]) == ("very_severe", 100)


def test_a_service_whose_model_never_answers(alone: Driver) -> None:
    alone.settled(alone.update(alone.register("degraded", "hybrid")))
    answer = analysed(alone.fake_ecs.base_url)
    assert (answer.headers["x-degraded"], answer.headers["x-analysis-source"]) == ("true", "heuristic")
    assert (answer.json()["degraded"], answer.json()["reason"]) == (True, "model_timeout")
    assert httpx.get(alone.fake_ecs.base_url + "/ml/status").json()["state"] == "degraded"


def test_a_service_that_is_well_and_answers_500(alone: Driver) -> None:
    alone.settled(alone.update(alone.register("answers-500")))
    assert analysed(alone.fake_ecs.base_url).status_code == 500
    assert httpx.get(alone.fake_ecs.base_url + "/ready").status_code == 200


def test_a_service_that_its_first_photo_kills(alone: Driver) -> None:
    deployment = alone.update(alone.register("oom"))
    alone.settled(deployment)
    assert analysed(alone.fake_ecs.base_url).status_code == 502
    ended = alone.until(lambda: [task for task in alone.tasks("STOPPED") if task["startedBy"] == deployment])
    container = ended[0]["containers"][0]
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_a_container_whose_first_process_dies_loses_all_others(alone: Driver) -> None:
    alone.settled(alone.update(alone.register("good")))
    task = alone.fake_ecs.running[0]
    family = psutil.Process(task.pid).children(recursive=True)
    assert len(family) >= 3
    os.kill(int(task.pid or 0), signal.SIGKILL)
    alone.until(lambda: task.status == "STOPPED")
    assert [item for item in family if item.is_running() and item.status() != psutil.STATUS_ZOMBIE] == []
    assert task.exit_code == 137


def test_a_service_that_takes_its_time_gets_it(alone: Driver) -> None:
    deployment = alone.update(alone.register("slow-start"))
    alone.settled(deployment)
    assert alone.service()["deployments"][0]["id"] == deployment
    assert analysed(alone.fake_ecs.base_url).status_code == 200
