"""One round's observations of the live system: each is made when a gate first needs it, and only once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import httpx

from deploy.aws import network
from deploy.aws import service as ecs
from deploy.aws import task as tasks
from deploy.config.plan import Gates
from deploy.gates.probe_load import RECENT_S, Outcome, ProbeLoad
from deploy.gates.responses import UnexpectedResponse, json_object, require_200
from deploy.gates.target import LiveTarget
from deploy.image.load import PROBE_PHOTO

T = TypeVar("T")
SCALED_IN = "Scaling activity"  # begins the reason of a task that autoscaling stopped
ANALYZE = "/analyze"
# A browser sends these headers before a page may send a photo with an API key.
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}


@dataclass(frozen=True)
class Window:
    """The time for which all steady gates must pass.

    Attributes:
        began, ends: seconds of the probe load's clock.
        desired: tasks that were desired when it began.
        running: ARNs of the tasks of our deployment when it began.
        stopped: ARNs of those that had stopped before.
    """

    began: float
    ends: float
    desired: int
    running: frozenset[str]
    stopped: frozenset[str]


class Observation:
    """What a round observes of the live system.

    Args:
        live: the system.
        limits: of the plan.
        probe_load: that runs meanwhile.
        window: that has begun; None while the system settles.
    """

    def __init__(self, live: LiveTarget, limits: Gates, probe_load: ProbeLoad, window: Window | None = None) -> None:
        self._live, self.limits, self.probe_load, self.window = live, limits, probe_load, window
        self._timeout: httpx.TimeoutException | None = None
        self._results: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}

    # --- the probe load -------------------------------------------------------------------------------------------

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The outcomes in the window; before it begins, those of the last seconds."""
        return self.probe_load.since(self.window.began if self.window else self.probe_load.clock() - RECENT_S)

    def expected(self, so_far: int) -> float:
        """How many outcomes there will be at the end of the window: a limit on a share counts all of them."""
        left = max(0.0, self.window.ends - self.probe_load.clock()) if self.window else 0.0
        return so_far + left * self.limits.canary_per_second

    # --- the service ----------------------------------------------------------------------------------------------

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """The response to GET; with an API key if one is known, unless other headers are given."""
        return self._in_time(
            lambda: self._live.http.get(
                self._live.base_url + path, headers=self._live.headers if headers is None else headers
            )
        )

    def json(self, path: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The JSON object that a path returns.

        Raises:
            UnexpectedResponse: the status is not 200, or there is no JSON object.
        """
        return json_object(self.get(path, headers), f"GET {path}")

    def photo(self, headers: dict[str, str], require: str | None = None) -> httpx.Response:
        """The response to the probe photo."""
        form = {"require": require} if require else {}
        return self._in_time(
            lambda: self._live.http.post(
                self._live.base_url + ANALYZE,
                files={"image": (PROBE_PHOTO.name, PROBE_PHOTO.read_bytes(), "image/png")},
                data=form,
                headers={**self._live.headers, **headers},
                timeout=self._live.photo_s,
            )
        )

    def _in_time(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """Send a request, unless one of this round timed out before: several timeouts would add up to minutes."""
        if self._timeout is not None:
            raise self._timeout
        try:
            return ask()
        except httpx.TimeoutException as error:
            self._timeout = error
            raise

    @property
    def health(self) -> dict[str, Any]:
        """The response of the contract's health path."""
        path = str(self._live.contract["health"]["path"])
        return self._once("health", lambda: self.json(path, {}))

    @property
    def version(self) -> dict[str, Any]:
        """The response of /version."""
        return self._once("version", lambda: self.json("/version"))

    @property
    def status(self) -> dict[str, Any]:
        """The response of /ml/status, from any task."""
        return self._once("status", lambda: self.json("/ml/status"))

    @property
    def model(self) -> dict[str, Any] | None:
        """The loaded model, as /ml/status describes it."""
        model = self.status.get("model")
        return model if isinstance(model, dict) else None

    @property
    def metrics(self) -> str:
        """The text of /metrics, from any task."""
        return self._once("metrics", lambda: require_200(self.get("/metrics"), "GET /metrics").text)

    @property
    def probe_response(self) -> httpx.Response:
        """The response to the probe photo, sent as the front end's page sends it; phase full requires the model."""
        require = "model" if self._live.phase == "full" else None
        return self._once("probe_response", lambda: self.photo({"origin": self._live.plan.front_end}, require))

    @property
    def preflight(self) -> httpx.Response:
        """The response to the CORS preflight that a browser sends before the front end's page sends a photo."""
        url, headers = self._live.base_url + ANALYZE, {"origin": self._live.plan.front_end, **PREFLIGHT}
        return self._once("preflight", lambda: self._in_time(lambda: self._live.http.options(url, headers=headers)))

    # --- AWS ------------------------------------------------------------------------------------------------------

    @property
    def service(self) -> dict[str, Any]:
        """The ECS service.

        Raises:
            UnexpectedResponse: there is none.
        """
        return self._once("service", self._service)

    def _service(self) -> dict[str, Any]:
        plan = self._live.plan
        result = ecs.describe_service(self._live.clients, plan)
        if result is None:
            raise UnexpectedResponse(f"There is no service {plan.service} in the cluster {plan.cluster}.")
        return result

    @property
    def deployment(self) -> dict[str, Any] | None:
        """Our deployment, as the service lists it; None where it does not."""
        listed = self.service.get("deployments") or []
        return next((item for item in listed if item.get("id") == self._live.deployment), None)

    @property
    def desired(self) -> int:
        """Tasks that must be there: as many as are desired; what autoscaling adds within the window may still start."""
        desired = int(self.service["desiredCount"])
        return min(desired, self.window.desired) if self.window else desired

    def digest_of(self, task: dict[str, Any]) -> str | None:
        """Digest of the image that the serving container of a task runs; None where it is not known."""
        return tasks.digest_of(task, tasks.serving_names(self.service, self._live.plan))

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """Tasks of the service that should run; old deployments' included."""
        return self._once("tasks", lambda: self._tasks("RUNNING"))

    @property
    def ours(self) -> list[dict[str, Any]]:
        """Those of our deployment."""
        return [task for task in self.tasks if self._is_ours(task)]

    @property
    def stopped(self) -> dict[str, dict[str, Any]]:
        """Tasks of our deployment that have stopped, by ARN."""
        return self._once(
            "stopped", lambda: {task["taskArn"]: task for task in self._tasks("STOPPED") if self._is_ours(task)}
        )

    @property
    def scaled_in(self) -> set[str]:
        """Those that autoscaling took away, which is no failure."""
        return {arn for arn, item in self.stopped.items() if str(item.get("stoppedReason", "")).startswith(SCALED_IN)}

    @property
    def newly_stopped(self) -> list[dict[str, Any]]:
        """Those that have stopped within the window, but for what autoscaling took away."""
        known = self.window.stopped if self.window else set(self.stopped)
        return [item for arn, item in self.stopped.items() if arn not in known | self.scaled_in]

    def _tasks(self, status: str) -> list[dict[str, Any]]:
        return tasks.describe_tasks(self._live.clients, self._live.plan, status)

    def _is_ours(self, task: dict[str, Any]) -> bool:
        """By the deployment that started it; by its task definition where that is unknown."""
        started_by = task.get("startedBy") or ""
        if self._live.deployment is not None and started_by.startswith("ecs-svc/"):
            return bool(started_by == self._live.deployment)
        return bool(task.get("taskDefinitionArn") == self._live.task_definition)

    @property
    def targets(self) -> list[dict[str, Any]]:
        """Targets of the target group, but for those that are leaving."""
        return self._once("targets", self._targets)

    def _targets(self) -> list[dict[str, Any]]:
        targets = network.describe_targets(self._live.clients, self._live.plan)
        return [target for target in targets if target["TargetHealth"]["State"] != "draining"]

    # --- once a round ---------------------------------------------------------------------------------------------

    def _once(self, name: str, ask: Callable[[], T]) -> T:
        """The result, or the exception, of the first call in this round."""
        if name in self._failed:
            raise self._failed[name]
        if name not in self._results:
            try:
                self._results[name] = ask()
            except Exception as error:
                self._failed[name] = error
                raise
        result: T = self._results[name]
        return result
