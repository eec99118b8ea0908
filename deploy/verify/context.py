"""What a check of the task definition reads: the task definition, the image's contract, the phase to roll out."""

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
    """One task definition with what it is checked against.

    Attributes:
        task: the task definition, as deploy/taskdef/schema.py reads it.
        shape: where it does not fit the API.
        contract: the image's.
        phase: the phase to roll out, if one was named.
        own_contract: whether the image's settings are those of this checkout, so that its own code can read them.
        names: of the serving container, as the load balancer names it; empty where that is not known.
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
        definitions: list[Part] = self.task.get("containerDefinitions", [])
        if not definitions:
            raise CheckSkipped("not checked, since there is no container")
        return definitions

    @cached_property
    def serving(self) -> Part | None:
        """The serving container; None where it cannot be determined. Raises CheckSkipped for an unreadable port."""
        if len(self.containers) > 1:
            for container in self.containers:
                for mapping in container.get("portMappings", []):
                    mapping.get("containerPort")
        serving = serving_container(self.task, self.names, self.port)
        return next((container for container in self.containers if container is serving), None)

    @property
    def container(self) -> Part:
        """The serving container; raises CheckSkipped where it cannot be determined."""
        if self.serving is None:
            raise CheckSkipped(f"not checked, since {self.undetermined}")
        return self.serving

    @property
    def undetermined(self) -> str:
        """Why the serving container cannot be determined: a sentence without its full stop."""
        return not_determined(self.task, self.names, self.port)

    @property
    def path(self) -> str:
        """The serving container's path in the task definition."""
        index = next(index for index, container in enumerate(self.containers) if container is self.container)
        return f"containerDefinitions[{index}]"

    @cached_property
    def environment(self) -> dict[str, str]:
        """Variables of the serving container with their values."""
        variables = self.container.get("environment", [])
        return {variable.get("name", ""): variable.get("value", "") for variable in variables}

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Secret variables of the serving container with their ARNs."""
        return {secret.get("name", ""): secret.get("valueFrom", "") for secret in self.container.get("secrets", [])}

    @property
    def port(self) -> int:
        """The port on which the image will listen: PORT where the task definition sets it, else the contract's."""
        text = self.environment_port
        usable = text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 65536
        return int(text) if usable else self.contract.port

    @property
    def environment_port(self) -> str:
        """PORT as the task definition sets it; empty where it does not."""
        allowed = candidates(self.task)
        containers = [part for part in self.containers if any(part is container for container in allowed)]
        likely = [container for container in containers if container.get("portMappings")] or containers
        variables = [variable for container in likely for variable in container.get("environment", [])]
        ports = (str(variable.get("value", "")).strip() for variable in variables if variable.get("name") == "PORT")
        return next(ports, "")

    @property
    def settings_phase(self) -> str:
        """The phase that SHINE_PHASE sets; the image's default where it is not set."""
        settings = self.contract.settings
        default = next((setting.default for setting in settings if setting.name == "SHINE_PHASE"), "hybrid")
        return self.environment.get("SHINE_PHASE") or str(default)

    def in_task(self, path: str, value: Any) -> Place:
        """A place of the task definition."""
        return Place(where=f"{TASK_DEFINITION}: {path}", value=plain(value))

    def in_container(self, path: str, value: Any) -> Place:
        """A place of the serving container."""
        return self.in_task(f"{self.path}.{path}", value)

    def in_contract(self, path: str, value: Any) -> Place:
        """A place of the image's contract."""
        return Place(where=f"{CONTRACT}: {path}", value=plain(value))

    def port_source(self) -> Place:
        """The place that sets the port."""
        if self.port != self.contract.port:
            return self.in_container("environment PORT", self.port)
        return self.in_contract("port", self.contract.port)
