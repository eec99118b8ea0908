"""Completes the commands in a sentence with the options in use, so that an operator can paste them.

Sentences and the trail record name a command without options (`trail resume`), since each reader has their own plan
and address. What is printed also names the options without which the command would reach another system.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROLLOUT = ("--plan", "--contract", "--base-url")
# For each command: the options without which it would reach another system, or roll out another image.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "up": (*ROLLOUT, "--digest", "--image"),
    "rollback": ROLLOUT,
    "resume": ROLLOUT,
    "status": ("--plan",),
    "record": ("--plan",),
    "why": ("--plan",),
    "policy": ("--plan",),
    "preflight": ("--plan", "--contract"),
    "infra": ("--plan", "--contract"),
}
IMAGE = ("--digest", "--image")  # a command takes only one of them
COMMAND = re.compile(r"`(trail [^`]+)`")
DEFAULT_PLAN = "trail.yaml"


@dataclass(frozen=True)
class OptionsInUse:
    """Options of the running command, without those that have their default.

    Attributes:
        values: option → value, as it was typed.
    """

    values: Mapping[str, str]

    @classmethod
    def of(cls, parameters: Mapping[str, object]) -> Self:
        """Read them from a command's parameters, by their names in Python."""
        given = {
            option: str(value)
            for option in dict.fromkeys(option for options in OPTIONS.values() for option in options)
            if (value := parameters.get(option.removeprefix("--").replace("-", "_"))) is not None
        }
        return cls({option: value for option, value in given.items() if (option, value) != ("--plan", DEFAULT_PLAN)})

    @classmethod
    def of_plan(cls, path: Path) -> Self:
        """Only the option --plan."""
        return cls.of({"plan": path})

    def with_base_url(self, url: str | None) -> Self:
        """These options with the address of the service, unless they have one."""
        return self if url is None else type(self)({"--base-url": url, **self.values})

    def command(self, line: str) -> str:
        """A command with the options in use that it lacks, quoted for a shell."""
        _, name, *rest = [*line.split(), ""]
        if not self._is_complete(name, rest):
            return line
        present = {word.partition("=")[0] for word in rest}
        missing = [
            f"{option} {shlex.quote(self.values[option])}"
            for option in OPTIONS[name]
            if option in self.values and option not in present and not (option in IMAGE and present & {*IMAGE})
        ]
        return " ".join([line, *missing])

    def text(self, sentence: str) -> str:
        """A sentence in which each command is completed."""
        return COMMAND.sub(lambda match: f"`{self.command(match[1])}`", sentence)

    @staticmethod
    def _is_complete(name: str, rest: list[str]) -> bool:
        """Whether the words are a complete command that needs a plan, and not only its name in a sentence."""
        first = next((word for word in rest if word), "")
        if name in ("up", "infra"):
            return bool(first)
        return name in OPTIONS and (name != "why" or not first or first.startswith("--"))


NO_OPTIONS = OptionsInUse({})
