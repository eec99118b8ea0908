"""The complete fake ECS."""

import itertools
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config
from moto import mock_aws

from bentos.skin.model.engine import EMBEDDED
from deploy.config import image_contract as contract
from deploy.config.plan import Plan
from tests.deploy.aws import NAME, REGION
from tests.fake_ecs import certificate, guardian
from tests.fake_ecs.account import CLUSTER, Account
from tests.fake_ecs.balancer import Balancer
from tests.fake_ecs.clock import Clock, monotonic
from tests.fake_ecs.ecs import Ecs
from tests.fake_ecs.faults import OPERATOR, TASK, Faults
from tests.fake_ecs.images import CATALOGUE
from tests.fake_ecs.scheduler import summary
from tests.fake_ecs.server import Endpoint
from tests.fake_ecs.service import Service
from tests.fake_ecs.targets import Targets
from tests.fake_ecs.task import Ground, Task

TICK_S = 0.1
ALONE = threading.Lock()  # held by the fake ECS of this process
FRONT = 254  # last number of the load balancer's address
TRIES = 20
SECOND_OCTETS = range(64, 128)  # of tasks' addresses, 127.x.y.z; two planes at once meet seldom, and look


class FakeEcs:
    """A stand-in for AWS in which a rollout runs in seconds; a context manager.

    Args:
        folder: for logs of tasks and the certificate.
        scale: real seconds for one of AWS's.
        floor_s: real seconds that a process may take to start, whatever the scale says.
        tasks: that the plan wants.

    Attributes:
        account: moto, with `ids`, `plan`, and everything that can be broken in it.
        endpoint: for AWS_ENDPOINT_URL.
        base_url, secure_url: of the load balancer; the plan's domain is the second.
        digests: image by name → its digest.
        faults: what goes wrong between a client and AWS.
    """

    def __init__(self, folder: Path, *, scale: float = 0.04, floor_s: float = 30.0, tasks: int = 2) -> None:
        self._folder, self._clock, self._tasks = folder, Clock(scale, floor_s), tasks
        self._mock = mock_aws()
        self._closing = threading.Event()
        self._addresses = itertools.count(1)

    def __enter__(self) -> Self:
        if not ALONE.acquire(blocking=False):
            raise RuntimeError("Another fake ECS is open in this process; moto's state is one for all of a process.")
        self._mock.start()
        try:
            self._open()
        except BaseException:
            self._mock.stop()
            ALONE.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.account = Account(EMBEDDED, contract.own())
        self.digests = {name: self.account.push(name) for name in CATALOGUE}
        catalogue = {self.digests[name]: image for name, image in CATALOGUE.items()}
        self.targets = Targets(self.account, self._clock)
        platform: dict[str, str] = {}
        self._ground = Ground(
            self.account, self._clock, self.targets, catalogue, self._folder, platform, self._free_address
        )
        self.ecs = Ecs(self._ground)
        self.faults = Faults()
        self._endpoint = Endpoint(self.account, self.ecs, self.targets, self.faults)
        self.endpoint = self._endpoint.url
        self._guardian = guardian.Guardian()
        platform |= {**self._credentials(TASK), guardian.NAME: self._guardian.mark}
        front = self._free_address(0, last=FRONT)
        self.trusted, context = certificate.write(self._folder, front)
        group = self.account.ids["target_group"]
        self.balancer = Balancer(self.targets, group, self._clock, front, context)
        self.base_url, self.secure_url = self.balancer.url, self.balancer.secure_url
        self.account.settle(self.secure_url, self._tasks)
        self._endpoint.start()
        self.balancer.start()
        self._scheduler = threading.Thread(target=self._schedule, daemon=True, name="scheduler")
        self._scheduler.start()

    def close(self) -> None:
        """Stop every process and close every port."""
        self._closing.set()
        self._scheduler.join(10)
        tasks = self.ecs.tasks
        for task in tasks:
            task.hurry()
        for task in tasks:
            task.join()
        self.balancer.close()
        self._endpoint.close()
        self._guardian.close()
        self._mock.stop()
        ALONE.release()

    def _schedule(self) -> None:
        minute = self._clock.short(60.0, 1.0)
        measured = monotonic()
        while not self._closing.wait(TICK_S):
            self.ecs.tick()
            if monotonic() >= measured + minute:
                measured += minute
                self.account.measure(self.balancer.numbers())

    def _free_address(self, port: int, last: int | None = None) -> str:
        """A free address on loopback; the load balancer's address is never one of a task."""
        second = SECOND_OCTETS[os.getpid() % len(SECOND_OCTETS)]
        for _ in range(TRIES):
            number = next(self._addresses)
            address = f"127.{second}.{number // 250 % 250}.{last or number % 250 + 1}"
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError:
                    continue
                return address
        raise OSError(f"Port {port} is taken on all of loopback: does something listen on 0.0.0.0:{port}?")

    @property
    def plan(self) -> Plan:
        """The plan of the account; `account.replan(…)` changes it."""
        return self.account.plan

    def write_plan(self, path: Path) -> Path:
        """The plan as `trail.yaml`."""
        return self.account.write_plan(path)

    def environment(self) -> dict[str, str]:
        """Environment for a process that uses the fake ECS as AWS: endpoint, credentials, trusted certificate."""
        return {**self._credentials(OPERATOR), "SSL_CERT_FILE": str(self.trusted)}

    def _credentials(self, key: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": "of the fake ECS",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str) -> Any:
        """A boto3 client over HTTP, without retries, so that a test sees each response."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=OPERATOR,
            aws_secret_access_key="of the fake ECS",  # noqa: S106
            config=Config(retries={"total_max_attempts": 1}),
        )

    def before(self, operation: str, act: Callable[[], object]) -> None:
        """Run a function once, just before the next call of an operation is answered."""
        self._endpoint.before[operation] = act

    def become(self, digest: str, image: str, phase: str) -> None:
        """From now on new tasks of a digest behave in a phase as another image; running tasks do not change."""
        self._ground.catalogue[f"{digest} in {phase}"] = CATALOGUE[image]

    @property
    def calls(self) -> dict[str, int]:
        """How often each operation was called."""
        return dict(self._endpoint.calls)

    @property
    def service(self) -> Service:
        """The service of the plan; raises KeyError if there is none."""
        return self.ecs.services[NAME]

    @property
    def running(self) -> list[Task]:
        """Tasks that have a process."""
        return [task for task in self.ecs.tasks if task.pid is not None and task.status != "STOPPED"]

    def summary(self) -> dict[str, Any]:
        """The present state, for a test's message."""
        with self.ecs.lock:
            return summary(self.service)

    def somebody_else_updates(self, **changes: Any) -> str:
        """Force a new deployment as somebody else; returns its id."""
        asked = {"cluster": CLUSTER, "service": NAME, "forceNewDeployment": True, **changes}
        answer = self.ecs.update_service(asked)
        deployment: str = answer["service"]["deployments"][0]["id"]
        return deployment
