"""What goes wrong in the middle of a rollout, one thing at a time, while photos are sent all the time.

Everything is right when preflight looks; the fault comes right before, or just after, the call that begins the
deployment. The results go into ROLLOUT_JSON; `python -m tests.rollout.outcomes` makes docs/rollout-failures.md of it.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bentos.skin.model.bundle import MANIFEST, METRICS, MODEL
from bentos.skin.model.engine import EMBEDDED
from deploy.config.plan import PHASES
from deploy.record.trail import Attempt
from tests.deploy.aws import FOLDER, GROUP, NAME, REPOSITORY, SECRET_VALUE
from tests.fake_ecs import FakeEcs
from tests.fake_ecs.account import GATES, RECORD
from tests.rollout.operator import Callers, Ended, Operator, calling

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

STARTED = "has started, with"  # what `trail up` says once ECS has taken the deployment; ECS's own events differ
TAKEN_BACK = "cause_found platform_failed"  # whoever is first, the tool that stops it or ECS that gives up
SOON_S = 2.0  # after the call that begins the deployment
Act = Callable[["Ground"], object]


@dataclass
class Ground:
    """What all rows stand on: a fake ECS in which `proven` runs, an operator, callers."""

    fake_ecs: FakeEcs
    operator: Operator
    callers: Callers

    @property
    def digest(self) -> str:
        """The digest of the image that is deployed."""
        return self.fake_ecs.digests["good"]

    @property
    def runs(self) -> str:
        """The task definition that the service wants."""
        result = self.fake_ecs.client("ecs").describe_services(cluster=self.fake_ecs.plan.cluster, services=[NAME])
        return str(result["services"][0]["taskDefinition"])

    def calls(self, operation: str) -> int:
        """How often AWS was asked to."""
        return self.fake_ecs.calls.get(operation, 0)

    def soon(self, act: Callable[[], object]) -> None:
        """Have something happen a little after the deployment has begun."""
        self.fake_ecs.before("UpdateService", lambda: threading.Timer(SOON_S, act).start())

    def settle(self) -> None:
        """Nothing is wrong any more, and nothing is on its way."""
        self.fake_ecs.faults.clear()
        for phase in PHASES:
            self.fake_ecs.become(self.digest, "good", phase)
        self.fake_ecs.account.replan(**PLANS[id(self)])
        self.operator.write_plan()
        ends = time.monotonic() + 90
        while time.monotonic() < ends:
            result = self.fake_ecs.service
            if len(result.shown) == 1 and result.primary.rollout == "COMPLETED":
                return
            time.sleep(0.2)
        raise AssertionError(f"it does not settle: {self.fake_ecs.summary()}")


PLANS: dict[int, dict[str, Any]] = {}


@pytest.fixture(scope="module")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Phase simple runs, and hybrid is next."""
    folder = tmp_path_factory.mktemp("failures")
    with FakeEcs(folder / "fake_ecs", floor_s=20) as fake_ecs:
        gates = {**GATES, "settle_s": 20}
        fake_ecs.account.replan(phases={phase: {"gates": gates} for phase in PHASES})
        operator = Operator(fake_ecs, folder)
        ended = operator.trail("up", "simple", "--digest", fake_ecs.digests["good"])
        assert ended.code == 0, ended
        with calling(fake_ecs.base_url) as callers:
            made = Ground(fake_ecs, operator, callers)
            PLANS[id(made)] = fake_ecs.plan.model_dump()
            yield made


@pytest.fixture(scope="module")
def foundation(simple: Ground) -> Ground:
    """The same, deployed up to phase foundation; full is next. Tests that want it stand at the end."""
    simple.settle()
    ended = simple.operator.trail("up", "--to", "foundation")
    assert ended.code == 0, ended
    return simple


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        name: of the table.
        strike: right before the service is updated.
        code: with which the command ends.
        cause: that it names, in the record or the sentence.
        outcome: in the record.
        heal: takes the fault back.
        lost: how many photos may be lost: those that reach an image which is healthy and breaks on photos.
    """

    name: str
    strike: Act
    code: int | tuple[int, int]
    cause: str
    outcome: str
    heal: Act = lambda _: None
    lost: int = 0


def becomes(image: str) -> Act:
    """Tasks of the digest behave as another image in the phase that is tried; not in the one that is gone back to."""

    def act(ground: Ground) -> None:
        for phase in ("hybrid", "full"):
            ground.fake_ecs.become(ground.digest, image, phase)

    return act


def shut(ground: Ground) -> None:
    """The security group of the new tasks lets nobody in; that of the old ones stays as it is."""
    ground.fake_ecs.account.keep_out("others")


def open_group(ground: Ground) -> None:
    """A security group of its own for the new tasks, right as long as preflight looks."""
    account = ground.fake_ecs.account
    if "others" not in account.ids:
        made = account.ask(
            "ec2", "create_security_group", GroupName="others", Description="others", VpcId=account.ids["vpc"]
        )
        account.ids["others"] = made["GroupId"]
        account.let_in("endpoints", 443, {"UserIdGroupPairs": [{"GroupId": made["GroupId"]}]})
    account.let_in("others", 5000, {"UserIdGroupPairs": [{"GroupId": account.ids["front"]}]})
    account.replan(network={**account.plan.network.model_dump(), "security_groups": [account.ids["others"]]})
    ground.operator.write_plan()


def no_way_out(ground: Ground) -> None:
    ground.fake_ecs.account.no_nat()


def way_out(ground: Ground) -> None:
    ids = ground.fake_ecs.account.ids
    ground.fake_ecs.account.ask(
        "ec2",
        "create_route",
        RouteTableId=ids["table_private"],
        DestinationCidrBlock="0.0.0.0/0",
        NatGatewayId=ids["nat"],
    )


def no_image(ground: Ground) -> None:
    ground.fake_ecs.account.ask(
        "ecr", "batch_delete_image", repositoryName=REPOSITORY, imageIds=[{"imageDigest": ground.digest}]
    )


def image_again(ground: Ground) -> None:
    assert ground.fake_ecs.account.push("good") == ground.digest


def no_log(ground: Ground) -> None:
    ground.fake_ecs.account.ask("logs", "delete_log_group", logGroupName=GROUP)


def log_again(ground: Ground) -> None:
    ground.fake_ecs.account.ask("logs", "create_log_group", logGroupName=GROUP)
    ground.fake_ecs.account.ask("logs", "put_retention_policy", logGroupName=GROUP, retentionInDays=30)


def alarm(state: str) -> Act:
    return lambda ground: ground.fake_ecs.account.alarm(f"{NAME}-5xx", state)


def rings_soon(ground: Ground) -> None:
    threading.Timer(SOON_S, alarm("ALARM"), (ground,)).start()


def secret(content: dict[str, str]) -> Act:
    return lambda ground: ground.fake_ecs.account.ask(
        "secretsmanager", "put_secret_value", SecretId="shine", SecretString=json.dumps(content)
    )


def no_weights(ground: Ground) -> None:
    for name in (MANIFEST, MODEL, METRICS):
        ground.fake_ecs.account.ask("s3", "delete_object", Bucket="shine-weights", Key=f"{FOLDER}/{name}")


def weights_again(ground: Ground) -> None:
    for name in (MODEL, METRICS, MANIFEST):
        ground.fake_ecs.account.put(f"{FOLDER}/{name}", (EMBEDDED / name).read_bytes())


def other_weights(ground: Ground) -> None:
    ground.fake_ecs.account.put(f"{FOLDER}/{MANIFEST}", (EMBEDDED / MANIFEST).read_bytes() + b"\n")


ON_SIMPLE = (
    Row("image missing", no_image, 4, "IMAGE_MISSING", TAKEN_BACK, image_again),
    Row("wrong architecture", becomes("wrong-architecture"), 4, "IMAGE_ARCHITECTURE", TAKEN_BACK),
    Row("exit at start", becomes("exits"), 4, "DEPENDENCY_MISSING", TAKEN_BACK),
    Row("OOM at the first photo", becomes("oom"), (3, 4), "OUT_OF_MEMORY", TAKEN_BACK + " gate_failed", lost=150),
    Row("port closed", becomes("wrong-port"), 4, "PORT_CLOSED", TAKEN_BACK),
    Row("health path 404", becomes("wrong-path"), 4, "HEALTH_PATH_MISSING", TAKEN_BACK),
    Row("slow start beyond the grace period", becomes("slow-for-ever"), 4, "HEALTH_CONTAINER", TAKEN_BACK),
    Row("flapping health", becomes("flapping"), (3, 4), "HEALTH_", TAKEN_BACK + " gate_failed", lost=30),
    Row("security group without 5000", shut, 4, "SECURITY_GROUP_SHUT", TAKEN_BACK),
    Row("subnet without egress", no_way_out, 4, "SUBNET_NO_EGRESS", TAKEN_BACK, way_out),
    Row("log group missing", no_log, 4, "LOG_GROUP_MISSING", TAKEN_BACK, log_again),
    Row("alarm fires", rings_soon, 4, "DEPLOYMENT_ALARM", TAKEN_BACK, alarm("OK")),
    Row("gate fails: the golden analysis differs", becomes("golden-differs"), 3, "analysis", "gate_failed"),
)
ON_FOUNDATION = (
    Row("weights missing", no_weights, 3, "WEIGHTS_MISSING", "gate_failed", weights_again),
    Row("weights are not those pinned", other_weights, 3, "WEIGHTS_PIN", "gate_failed", weights_again),
    Row(
        "secret without its JSON key",
        secret({"keys": "x"}),
        4,
        "SECRET_KEY_MISSING",
        TAKEN_BACK,
        secret({"api_keys": SECRET_VALUE}),
    ),
    Row("degraded ratio too high", becomes("degraded"), 3, "model_answers", "gate_failed"),
)


@pytest.mark.parametrize("row", ON_SIMPLE, ids=lambda row: row.name)
def test_on_the_way_to_hybrid(simple: Ground, row: Row) -> None:
    fails(simple, row, "simple", "hybrid")


def fails(ground: Ground, row: Row, proven: str, phase: str) -> None:
    """The rollout ends by name, what was proven serves on, no photo is lost, and the record is true."""
    ground.settle()
    if row.strike is shut:
        open_group(ground)
    ran, since, began = ground.runs, len(ground.callers.seen), time.monotonic()
    ground.fake_ecs.before("UpdateService", lambda: row.strike(ground))
    try:
        ended = ground.operator.trail("up", phase)
    finally:
        row.heal(ground)
    seconds = time.monotonic() - began
    last = ground.operator.record.attempts[-1]
    output = f"{ended.told['sentence']} {last.cause} {failing(last)}"
    assert ended.code in (row.code if isinstance(row.code, tuple) else (row.code,)), ended
    assert row.cause in output, (last.evidence, ended)
    assert last.outcome in row.outcome.split(), ended
    assert ground.runs == ran, ended
    lost = steadily(ground, since)
    assert len(lost) <= row.lost, (lost, ended)
    back = next(attempt for attempt in ground.operator.record.attempts if attempt.id == last.back_to)
    assert (back.phase, back.outcome) == (proven, "proven"), ended
    note(row.name, phase, ended, last, len(lost), len(ground.callers.seen) - since, seconds)


def failing(attempt: Attempt) -> list[str]:
    """Names of the gates that did not hold."""
    return [gate.name for gate in attempt.gates if not gate.holds]


def steadily(ground: Ground, since: int) -> list[Any]:
    """Photos lost since, those of the next two seconds too."""
    time.sleep(2)
    return ground.callers.lost(since)


def note(name: str, phase: str, ended: Ended, last: Attempt | None, lost: int, sent: int, seconds: float) -> None:
    """Keep what was seen, for the table."""
    place = os.environ.get("ROLLOUT_JSON")
    if place is None:
        return
    path = Path(place)
    known = json.loads(path.read_text()) if path.exists() else {}
    known[name] = {
        "phase": phase,
        "exit": ended.code,
        "cause": last.cause if last else None,
        "gates": failing(last) if last else [],
        "outcome": last.outcome if last else None,
        "sentence": ended.told["sentence"],
        "lost": lost,
        "sent": sent,
        "seconds": round(seconds),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False))


def test_what_was_taken_back_is_known_to_why_and_to_status(simple: Ground) -> None:
    simple.settle()
    simple.fake_ecs.before("UpdateService", lambda: becomes("wrong-path")(simple))
    ended = simple.operator.trail("up", "hybrid")
    simple.settle()
    last = simple.operator.record.attempts[-1]
    assert (ended.code, ended.told["ok"], ended.told["findings"][0]["code"]) == (4, False, last.cause), ended
    output = simple.operator.trail("why")
    assert (output.code, output.told["attempt"]["id"]) == (2, last.id)
    (cause,) = [item for item in output.told["causes"] if item["code"] == last.cause == "HEALTH_PATH_MISSING"]
    assert any(
        "By the trail record, the attempt at phase hybrid" in value for value in [cause["sentence"], *cause["evidence"]]
    )
    assert "Set the target group's health check path" not in cause["repair"]  # it is set
    progress = simple.operator.trail("status").told["progress"]
    assert progress["next"] == f"trail why --plan {simple.operator.path}"
    assert simple.digest not in progress["advice"]


# --- refused before anything moves -------------------------------------------------------------------------------


def test_what_preflight_finds_changes_nothing(simple: Ground) -> None:
    simple.settle()
    account = simple.fake_ecs.account
    group = account.target_group("instances", TargetType="instance")
    account.replan(load_balancer={**account.plan.load_balancer.model_dump(), "target_group": group})
    simple.operator.write_plan()
    updates, since, began = simple.calls("UpdateService"), len(simple.callers.seen), time.monotonic()
    ended = simple.operator.trail("up", "hybrid")
    last = simple.operator.record.attempts[-1]
    assert ended.code == 2, ended
    assert "TARGET" in str(last.cause), ended
    assert (last.outcome, simple.calls("UpdateService")) == ("refused", updates)
    lost = steadily(simple, since)
    assert lost == []
    sent = len(simple.callers.seen) - since
    note("target group of type instance", "hybrid", ended, last, 0, sent, time.monotonic() - began)


def test_a_record_that_cannot_be_reached_stops_it_before_anything_moves(simple: Ground) -> None:
    simple.settle()
    simple.fake_ecs.faults.cut_off(RECORD)
    updates, since, began = simple.calls("UpdateService"), len(simple.callers.seen), time.monotonic()
    ended = simple.operator.trail("up", "hybrid")
    assert (ended.code, simple.calls("UpdateService")) == (2, updates), ended
    assert "record.json cannot be read" in ended.told["sentence"]
    sent = len(simple.callers.seen) - since
    note(
        "record store unreachable", "hybrid", ended, None, len(steadily(simple, since)), sent, time.monotonic() - began
    )


# --- ECS goes back by a deployment of its own, or cannot be asked to ---------------------------------------------


@pytest.fixture
def new_ids(simple: Ground) -> Iterator[Ground]:
    """A rollback of ECS's begins a new deployment."""
    simple.settle()
    simple.fake_ecs.service.new_rollback_id = True
    yield simple
    simple.fake_ecs.faults.clear()
    simple.fake_ecs.service.new_rollback_id = False


def rolled_back(ground: Ground, before: str) -> None:
    """Wait until ECS has gone back, by another deployment than the one before."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        result = ground.fake_ecs.service.primary
        if result.id != before and result.rollout == "COMPLETED":
            return
        time.sleep(0.2)
    raise AssertionError(f"ECS does not go back: {ground.fake_ecs.summary()}")


def taken_back_by_ecs(ground: Ground, name: str, ended: Ended, ran: str, since: int, began: float, cause: str) -> None:
    """Our deployment failed, the record says why, and status tells that and what runs; ECS alone went back."""
    seconds, last = time.monotonic() - began, ground.operator.record.attempts[-1]
    assert (ended.code, last.outcome, last.cause) == (4, "platform_failed", cause), ended
    rollback = ground.fake_ecs.service.primary.id
    assert f"ECS rolled back to {ran.rpartition('/')[2]} ({rollback})." in last.evidence[-1], ended
    assert "Rolled back to" in ended.told["sentence"]
    back = next(attempt for attempt in ground.operator.record.attempts if attempt.id == last.back_to)
    assert (back.phase, back.outcome, ground.runs) == ("simple", "proven", ran)
    output = ground.operator.trail("status").told
    hybrid = output["progress"]["stations"][1]
    assert (hybrid["state"], hybrid["cause"]) == ("failed", cause)
    assert "It runs again since hybrid was rolled back." in output["progress"]["current"]["sentence"]
    assert (output["live"]["deployment"], output["live"]["differs_from_record"]) == (rollback, False)
    lost = steadily(ground, since)
    assert lost == []
    note(name, "hybrid", ended, last, 0, len(ground.callers.seen) - since, seconds)


def test_a_rollback_by_alarm_under_a_new_id_is_our_failure(new_ids: Ground) -> None:
    ran, since, began = new_ids.runs, len(new_ids.callers.seen), time.monotonic()
    updates = new_ids.calls("UpdateService")
    new_ids.fake_ecs.before("UpdateService", lambda: rings_soon(new_ids))
    ended = new_ids.operator.trail("up", "hybrid")
    alarm("OK")(new_ids)
    assert new_ids.calls("UpdateService") == updates + 1
    taken_back_by_ecs(
        new_ids, "alarm fires, ECS goes back under a new id", ended, ran, since, began, "DEPLOYMENT_ALARM"
    )


def test_a_rollback_under_a_new_id_while_the_network_was_away_is_our_failure(new_ids: Ground) -> None:
    ran, since, began = new_ids.runs, len(new_ids.callers.seen), time.monotonic()
    updates, before = new_ids.calls("UpdateService"), new_ids.fake_ecs.service.primary.id

    def away() -> None:
        becomes("exits")(new_ids)
        threading.Timer(0.3, new_ids.fake_ecs.faults.cut_off_all).start()

    new_ids.fake_ecs.before("UpdateService", away)
    process = new_ids.operator.start("up", "hybrid")
    new_ids.operator.read_until(process, "AWS cannot be reached")
    rolled_back(new_ids, before)
    new_ids.fake_ecs.faults.clear()
    ended = new_ids.operator.wait(process)
    assert new_ids.calls("UpdateService") == updates + 1
    name = "network away while ECS goes back under a new id"
    taken_back_by_ecs(new_ids, name, ended, ran, since, began, "DEPENDENCY_MISSING")


@pytest.mark.parametrize("word", [STARTED, "IN_PROGRESS"])  # before the record has the id of it, and after
def test_resume_after_a_rollback_under_a_new_id_says_the_same(new_ids: Ground, word: str) -> None:
    ran, since, began = new_ids.runs, len(new_ids.callers.seen), time.monotonic()
    new_ids.fake_ecs.before("UpdateService", lambda: becomes("exits")(new_ids))
    updates, before = new_ids.calls("UpdateService"), new_ids.fake_ecs.service.primary.id
    new_ids.operator.cut(new_ids.operator.start("up", "hybrid"), word, signal.SIGKILL)
    rolled_back(new_ids, before)
    left = new_ids.operator.record.attempts[-1]
    lines = new_ids.operator.lines("status")
    assert (f"{left.deployment} of phase hybrid failed: tasks failed to start." in lines) is (
        left.deployment is not None
    )
    assert "Next:  trail resume" in lines
    ended = new_ids.operator.trail("resume")
    assert new_ids.calls("UpdateService") == updates + 1
    name = "kill -9, ECS goes back under a new id, then resume"
    taken_back_by_ecs(new_ids, name, ended, ran, since, began, "DEPENDENCY_MISSING")


def test_resume_leaves_alone_what_somebody_else_deployed_meanwhile(new_ids: Ground) -> None:
    ran, since, began = new_ids.runs, len(new_ids.callers.seen), time.monotonic()
    new_ids.fake_ecs.before("UpdateService", lambda: becomes("exits")(new_ids))
    before = new_ids.fake_ecs.service.primary.id
    new_ids.operator.cut(new_ids.operator.start("up", "hybrid"), "IN_PROGRESS", signal.SIGKILL)
    rolled_back(new_ids, before)
    theirs = new_ids.fake_ecs.somebody_else_updates(taskDefinition=ran)
    updates = new_ids.calls("UpdateService")
    ended = new_ids.operator.trail("resume")
    last = new_ids.operator.record.attempts[-1]
    assert (ended.code, last.outcome, last.cause) == (6, "overtaken", "DEPENDENCY_MISSING"), ended
    assert f"{theirs} is newer and somebody else's; it was not touched." in ended.told["sentence"]
    assert (new_ids.calls("UpdateService"), new_ids.fake_ecs.service.primary.id) == (updates, theirs)
    new_ids.settle()
    assert steadily(new_ids, since) == []
    name, sent = "kill -9, ECS goes back, another deploys, then resume", len(new_ids.callers.seen) - since
    note(name, "hybrid", ended, last, 0, sent, time.monotonic() - began)


def may_not_stop(ground: Ground) -> None:
    ground.fake_ecs.faults.deny("StopServiceDeployment")


def cannot_list(ground: Ground) -> None:
    ground.fake_ecs.faults.break_down("ListServiceDeployments")


@pytest.mark.parametrize(
    ("name", "refuse", "says"),
    [
        ("StopServiceDeployment denied", may_not_stop, '"Action": "ecs:StopServiceDeployment"'),
        ("ListServiceDeployments fails", cannot_list, "ecs ListServiceDeployments (ServerException)"),
    ],
)
def test_what_ecs_cannot_be_told_to_stop_is_taken_back_by_update_service(
    simple: Ground, name: str, refuse: Act, says: str
) -> None:
    simple.settle()
    ran, since, began, updates = simple.runs, len(simple.callers.seen), time.monotonic(), simple.calls("UpdateService")

    def never_gives_up() -> None:  # else ECS might be first
        simple.fake_ecs.service.configuration["deploymentCircuitBreaker"]["enable"] = False

    def strike() -> None:
        becomes("wrong-port")(simple)
        refuse(simple)
        threading.Timer(0.3, never_gives_up).start()

    simple.fake_ecs.before("UpdateService", strike)
    ended = simple.operator.trail("up", "hybrid")
    seconds, last = time.monotonic() - began, simple.operator.record.attempts[-1]
    simple.fake_ecs.faults.clear()
    assert (ended.code, last.outcome, last.cause) == (4, "cause_found", "PORT_CLOSED"), ended
    assert says in ended.told["sentence"], ended
    assert "It is rolled back by UpdateService instead." in ended.told["sentence"]
    assert (simple.runs, simple.calls("UpdateService")) == (ran, updates + 2)
    lost = steadily(simple, since)
    assert lost == []
    note(name, "hybrid", ended, last, 0, len(simple.callers.seen) - since, seconds)


# --- people, networks and credentials ----------------------------------------------------------------------------


@pytest.fixture
def before(simple: Ground) -> Iterator[Ground]:
    """Phase simple runs; whatever a test proves is taken back."""
    simple.settle()
    yield simple
    simple.fake_ecs.faults.clear()
    if simple.operator.record.attempts[-1].outcome == "proven":
        ended = simple.operator.trail("rollback")
        assert (ended.code, ended.attempt["outcome"]) == (0, "restored"), ended


def proven_without_loss(ground: Ground, name: str, ended: Ended, since: int, began: float, updates: int) -> None:
    """Hybrid is proven by one deployment, and no photo was lost."""
    seconds = time.monotonic() - began
    last = ground.operator.record.attempts[-1]
    assert (ended.code, last.outcome, last.phase) == (0, "proven", "hybrid"), ended
    assert ground.calls("UpdateService") == updates + 1, ended
    lost = steadily(ground, since)
    assert lost == []
    note(name, "hybrid", ended, last, 0, len(ground.callers.seen) - since, seconds)


def test_a_storm_of_throttling_is_waited_out(before: Ground) -> None:
    since, began, updates = len(before.callers.seen), time.monotonic(), before.calls("UpdateService")
    before.fake_ecs.before("UpdateService", lambda: before.fake_ecs.faults.throttle(0.4, 20))
    ended = before.operator.trail("up", "hybrid")
    seconds = time.monotonic() - began
    last = before.operator.record.attempts[-1]
    assert (ended.code, last.outcome) == (0, "proven"), ended
    assert before.fake_ecs.faults.struck > 5
    assert before.calls("UpdateService") >= updates + 1
    lost = steadily(before, since)
    assert lost == []
    note("throttling storm", "hybrid", ended, last, 0, len(before.callers.seen) - since, seconds)


def test_expired_credentials_leave_it_to_resume(before: Ground) -> None:
    since, began, updates = len(before.callers.seen), time.monotonic(), before.calls("UpdateService")
    before.soon(before.fake_ecs.faults.expire_credentials)
    ended = before.operator.trail("up", "hybrid")
    assert ended.code == 130, ended
    assert "expired" in ended.told["sentence"]
    assert f"`trail resume --plan {before.operator.path}`" in ended.told["sentence"]
    before.fake_ecs.faults.clear()
    ended = before.operator.trail("resume")
    proven_without_loss(before, "credentials expire half-way, then resume", ended, since, began, updates)


@pytest.mark.parametrize(("name", "number"), [("Ctrl-C", signal.SIGINT), ("kill -9", signal.SIGKILL)])
def test_what_was_cut_off_is_resumed_and_not_begun_twice(before: Ground, name: str, number: int) -> None:
    since, began, updates = len(before.callers.seen), time.monotonic(), before.calls("UpdateService")
    ended = before.operator.cut(before.operator.start("up", "hybrid"), STARTED, number)
    if ended is not None:
        assert ended.code == 130, ended
        assert f"goes on; `trail resume --plan {before.operator.path}`" in ended.told["sentence"]
    assert before.operator.record.attempts[-1].outcome == "running"
    ended = before.operator.trail("resume")
    proven_without_loss(before, f"{name}, then resume", ended, since, began, updates)


def test_somebody_elses_newer_deployment_is_left_alone(before: Ground) -> None:
    since, began, ran = len(before.callers.seen), time.monotonic(), before.runs
    others: list[str] = []
    before.soon(lambda: others.append(before.fake_ecs.somebody_else_updates(taskDefinition=ran)))
    ended = before.operator.trail("up", "hybrid")
    last = before.operator.record.attempts[-1]
    assert (ended.code, last.outcome) == (6, "overtaken"), ended
    assert others[0] in ended.told["sentence"]
    before.settle()
    assert before.fake_ecs.service.primary.id == others[0]
    lost = steadily(before, since)
    assert lost == []
    sent = len(before.callers.seen) - since
    note("another deployment overtakes", "hybrid", ended, last, 0, sent, time.monotonic() - began)


def test_two_rollouts_cannot_run_at_once(before: Ground) -> None:
    since, began, updates = len(before.callers.seen), time.monotonic(), before.calls("UpdateService")
    first = before.operator.start("up", "hybrid")
    before.operator.read_until(first, STARTED)
    second = before.operator.trail("up", "hybrid")
    assert second.code == 6, second
    assert "The rollout is locked by" in second.told["sentence"]
    note("two rollouts at once: the second", "hybrid", second, None, 0, 0, time.monotonic() - began)
    ended = before.operator.wait(first)
    proven_without_loss(before, "two rollouts at once: the first", ended, since, began, updates)


def test_a_record_that_goes_away_is_written_when_it_is_back(before: Ground) -> None:
    since, began, updates = len(before.callers.seen), time.monotonic(), before.calls("UpdateService")

    def away() -> None:
        before.fake_ecs.faults.cut_off(RECORD)
        threading.Timer(10, before.fake_ecs.faults.clear).start()

    before.soon(away)
    ended = before.operator.trail("up", "hybrid")
    proven_without_loss(before, "record store away for 10 s", ended, since, began, updates)


def test_a_proven_task_definition_that_was_deregistered_is_registered_anew(simple: Ground) -> None:
    simple.settle()
    ran, since, began = simple.runs, len(simple.callers.seen), time.monotonic()

    def strike() -> None:
        simple.fake_ecs.become(simple.digest, "golden-differs", "hybrid")
        simple.fake_ecs.account.ask("ecs", "deregister_task_definition", taskDefinition=ran)

    simple.fake_ecs.before("UpdateService", strike)
    ended = simple.operator.trail("up", "hybrid")
    last = simple.operator.record.attempts[-1]
    assert (ended.code, last.outcome) == (3, "gate_failed"), ended
    assert "registered again" in ended.lines
    now = simple.fake_ecs.client("ecs").describe_task_definition(taskDefinition=simple.runs)["taskDefinition"]
    assert (now["status"], simple.runs != ran) == ("ACTIVE", True)
    lost = steadily(simple, since)
    assert lost == []
    sent = len(simple.callers.seen) - since
    note("rollback target deregistered", "hybrid", ended, last, 0, sent, time.monotonic() - began)


def test_an_address_that_cannot_be_asked_moves_nothing(simple: Ground) -> None:
    simple.settle()
    ran, since, began, updates = simple.runs, len(simple.callers.seen), time.monotonic(), simple.calls("UpdateService")
    ended = simple.operator.trail("up", "hybrid", "--base-url", "http://127.0.0.1:9")
    assert ended.code == 2, ended
    assert "http://127.0.0.1:9/health cannot be reached from here (ConnectError" in ended.told["sentence"]
    assert (simple.runs, simple.calls("UpdateService"), steadily(simple, since)) == (ran, updates, [])
    sent = len(simple.callers.seen) - since
    note("an address that nobody answers at", "hybrid", ended, None, 0, sent, time.monotonic() - began)


# --- one phase further ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ON_FOUNDATION, ids=lambda row: row.name)
def test_on_the_way_to_full(foundation: Ground, row: Row) -> None:
    fails(foundation, row, "foundation", "full")


def test_what_was_changed_past_the_tool_is_seen_and_undone(foundation: Ground) -> None:
    foundation.settle()
    ran, since, began = foundation.runs, len(foundation.callers.seen), time.monotonic()
    releases = [attempt.deployed for attempt in foundation.operator.record.attempts if attempt.outcome == "proven"]
    earlier = [release.task_definition for release in releases if release and release.task_definition != ran]
    foundation.fake_ecs.somebody_else_updates(taskDefinition=earlier[-1])  # the newest: older ones may be inactive
    foundation.settle()
    output = foundation.operator.trail("status").told
    assert output["live"]["differs_from_record"] is True
    ended = foundation.operator.trail("rollback")
    assert (ended.code, foundation.runs) == (0, ran), ended
    assert foundation.operator.trail("status").told["live"]["differs_from_record"] is False
    lost = steadily(foundation, since)
    assert lost == []
    last, sent = foundation.operator.record.attempts[-1], len(foundation.callers.seen) - since
    note("changed past the tool, then rollback", "foundation", ended, last, 0, sent, time.monotonic() - began)
