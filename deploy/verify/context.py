"""What a check of the task definition reads: the task definition, the image's contract, the phase to roll out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from deploy.config.image_contract import Contract
from deploy.findings.finding import CheckSkipped, Place
from deploy.taskdef.model import candidates, not_determined, repository, serving_container
from deploy.taskdef.schema import FARGATE, Part, ShapeViolation
from deploy.text import plain, shown

TASK_DEFINITION, CONTRACT = "task definition", "image contract"
ALONE = {"it": "The container", "the": "The", "port": "Port", "settings": "Settings"}  # at the start of a sentence
REPOSITORIES = ("shine", "shine-api-gateway")  # last parts of the names under which Shine's image is pushed


@dataclass(frozen=True)
class Container:
    """One container of a task definition.

    Attributes:
        part: its definition.
        path: such as containerDefinitions[0].
        alone: whether the task has no other.
    """

    part: Part
    path: str
    alone: bool

    @property
    def name(self) -> str:
        """Its name; empty where it has none that can be read."""
        name = dict.get(self.part, "name")
        return name if isinstance(name, str) else ""

    def says(self, sentence: str) -> str:
        """A sentence, with the container's name before it where there are several.

        Args:
            sentence: begins with a key of the API, with a small "the" or another word, or with "it" for the container.
        """
        if not self.alone:
            return f"Container {shown(self.name)}: {sentence}"
        word, space, rest = sentence.partition(" ")
        return f"{ALONE.get(word, word)}{space}{rest}"

    def place(self, path: str, value: Any) -> Place:
        """A place of the container."""
        return Place(where=f"{TASK_DEFINITION}: {self.path}.{path}", value=plain(value))


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
        of_image: whether the operator named the contract's image, by --image, --contract or a plan; else the names of
            the images say whether the contract applies.
        repositories: of Shine's image: last parts of their names.
        account: of AWS, in which the task will run; empty where that is not known.
    """

    task: Part
    shape: tuple[ShapeViolation, ...]
    contract: Contract
    phase: str | None = None
    own_contract: bool = False
    names: tuple[str, ...] = ()
    of_image: bool = True
    repositories: tuple[str, ...] = REPOSITORIES
    account: str = ""

    @cached_property
    def containers(self) -> list[Part]:
        """All containers; raises CheckSkipped where there are none."""
        definitions: list[Part] = self.task.get("containerDefinitions", [])
        if not definitions:
            raise CheckSkipped("not checked, since there is no container")
        return definitions

    @property
    def each(self) -> Iterator[Container]:
        """All containers with their places; raises CheckSkipped where there are none."""
        alone = len(self.containers) == 1
        for index, part in enumerate(self.containers):
            yield Container(part, f"containerDefinitions[{index}]", alone)

    @cached_property
    def with_own_image(self) -> list[Part]:
        """Containers whose image comes from a repository of Shine's."""
        return [part for part in self.containers if repository(dict.get(part, "image")) in self.repositories]

    @property
    def ours(self) -> bool:
        """Whether the contract is that of an image of the task."""
        return self.of_image or bool(self.with_own_image)

    @property
    def fargate(self) -> bool:
        """Whether the task is registered for Fargate, where Shine's image runs unless another launch type is named."""
        launch_types = self.task.get("requiresCompatibilities", [])
        return FARGATE in launch_types or (not launch_types and self.ours)

    @property
    def windows(self) -> bool:
        """Whether the containers are Windows ones."""
        return str(self.task.get("runtimePlatform", {}).get("operatingSystemFamily", "")).startswith("WINDOWS")

    def is_own(self, container: Container) -> bool:
        """Whether a container is the serving one of Shine, which the checks of the contract judge."""
        return self.ours and self.serving is container.part

    @cached_property
    def serving(self) -> Part | None:
        """The serving container; None where it cannot be determined. Raises CheckSkipped for an unreadable port."""
        if not self.of_image and len(self.with_own_image) == 1:
            return self.with_own_image[0]
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
