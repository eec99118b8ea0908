"""What checks look at: one task definition, what the image asks for, and the phase that is meant."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from deploy.config.image_contract import Contract
from deploy.findings.finding import CheckSkipped, Place
from deploy.taskdef.model import candidates, not_determined, serving_container
from deploy.taskdef.schema import Part, ShapeViolation
from deploy.text import plain

TASK_DEFINITION, CONTRACT = "task definition", "image contract"


@dataclass(frozen=True)
class CheckContext:
    """One task definition on trial.

    Attributes:
        task: the task definition, brought into shape by deploy/taskdef/schema.py.
        shape: where it did not fit the API.
        contract: what the image asks for.
        phase: the phase that is meant, if anyone said so; else the task definition's own.
        own_contract: whether the image's settings are those of this checkout, whose own reader can then judge them.
        names: of the container that serves, as the load balancer names it; empty where that is not known.
    """

    task: Part
    shape: tuple[ShapeViolation, ...]
    contract: Contract
    phase: str | None = None
    own_contract: bool = False
    names: tuple[str, ...] = ()

    @cached_property
    def containers(self) -> list[Part]:
        """All containers; raises CheckSkipped where there are none."""
        found: list[Part] = self.task.get("containerDefinitions", [])
        if not found:
            raise CheckSkipped("not looked at, since there is no container")
        return found

    @cached_property
    def serving(self) -> Part | None:
        """The container that serves; None where none can be chosen; raises CheckSkipped where a port is invalid."""
        if len(self.containers) > 1:
            for one in self.containers:
                for port in one.get("portMappings", []):
                    port.get("containerPort")
        container = serving_container(self.task, self.names, self.port)
        return next((one for one in self.containers if one is container), None)

    @property
    def container(self) -> Part:
        """The container that serves; raises CheckSkipped where none can be chosen."""
        if self.serving is None:
            raise CheckSkipped(f"not looked at, since {self.undetermined}")
        return self.serving

    @property
    def undetermined(self) -> str:
        """Why no container can be chosen: a sentence without a full stop."""
        return not_determined(self.task, self.names, self.port)

    @property
    def path(self) -> str:
        """Of the container that serves."""
        place = next(place for place, one in enumerate(self.containers) if one is self.container)
        return f"containerDefinitions[{place}]"

    @cached_property
    def environment(self) -> dict[str, str]:
        """Variables in plain, of the container that serves."""
        return {one.get("name", ""): one.get("value", "") for one in self.container.get("environment", [])}

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Variables out of a secret → where it lies."""
        return {one.get("name", ""): one.get("valueFrom", "") for one in self.container.get("secrets", [])}

    @property
    def port(self) -> int:
        """On which the image will listen: PORT where the task definition sets it, else the contract's."""
        text = self.environment_port
        usable = text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536
        return int(text) if usable else self.contract.port

    @property
    def environment_port(self) -> str:
        """PORT as the task definition sets it, or nothing."""
        allowed = candidates(self.task)
        containers = [one for one in self.containers if any(one is container for container in allowed)]
        likely = [one for one in containers if one.get("portMappings")] or containers
        variables = [variable for one in likely for variable in one.get("environment", [])]
        return next((str(one.get("value", "")).strip() for one in variables if one.get("name") == "PORT"), "")

    @property
    def meant_phase(self) -> str:
        """The phase of the settings; the service's default where none is set."""
        default = next((one.default for one in self.contract.settings if one.name == "SHINE_PHASE"), "hybrid")
        return self.environment.get("SHINE_PHASE") or str(default)

    def at(self, path: str, value: Any) -> Place:
        """A place of the task definition."""
        return Place(where=f"{TASK_DEFINITION}: {path}", value=plain(value))

    def inside(self, path: str, value: Any) -> Place:
        """A place of the container that serves."""
        return self.at(f"{self.path}.{path}", value)

    def asked(self, path: str, value: Any) -> Place:
        """A place of the image's contract."""
        return Place(where=f"{CONTRACT}: {path}", value=plain(value))

    def listening(self) -> Place:
        """Where the port comes from."""
        if self.port != self.contract.port:
            return self.inside("environment PORT", self.port)
        return self.asked("port", self.contract.port)
