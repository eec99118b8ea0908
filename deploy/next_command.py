"""Commands that a sentence names in backquotes, completed with the options in use, so that they can be pasted.

Sentences and the trail record name a command alone (`trail resume`): whoever reads them has a plan and an address of
their own. What is printed names the options too without which the command would reach another system.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROLLOUT = ("--plan", "--contract", "--base-url")
# Of each command, the options without which it would reach another system, or roll out another image.
TAKES: Mapping[str, tuple[str, ...]] = {
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
IMAGE = ("--digest", "--image")  # of which a command takes one
COMMAND = re.compile(r"`(trail [^`]+)`")
DEFAULT_PLAN = "trail.yaml"


@dataclass(frozen=True)
class OptionsInUse:
    """Options of the command that runs, by name, those left out that have their default.

    Attributes:
        values: option → value, as it was typed.
    """

    values: Mapping[str, str]

    @classmethod
    def of(cls, parameters: Mapping[str, object]) -> Self:
        """Read them from a command's parameters, by their names in Python."""
        given = {
            option: str(value)
            for option in dict.fromkeys(option for options in TAKES.values() for option in options)
            if (value := parameters.get(option.removeprefix("--").replace("-", "_"))) is not None
        }
        return cls({option: value for option, value in given.items() if (option, value) != ("--plan", DEFAULT_PLAN)})

    @classmethod
    def of_plan(cls, path: Path) -> Self:
        """A plan alone."""
        return cls.of({"plan": path})

    def with_base_url(self, url: str | None) -> Self:
        """The same with the address at which the service was asked, where the command itself has none."""
        return self if url is None else type(self)({"--base-url": url, **self.values})

    def command(self, line: str) -> str:
        """A command with the options in use that it takes and does not have, quoted for a shell."""
        _, name, *rest = [*line.split(), ""]
        if not self._runs(name, rest):
            return line
        there = {word.partition("=")[0] for word in rest}
        missing = [
            f"{option} {shlex.quote(self.values[option])}"
            for option in TAKES[name]
            if option in self.values and option not in there and not (option in IMAGE and there & {*IMAGE})
        ]
        return " ".join([line, *missing])

    def text(self, sentence: str) -> str:
        """A sentence with each command in it completed."""
        return COMMAND.sub(lambda found: f"`{self.command(found[1])}`", sentence)

    @staticmethod
    def _runs(name: str, rest: list[str]) -> bool:
        """Whether the words are a whole command, and not only its name in a sentence, or one that needs no plan."""
        first = next((word for word in rest if word), "")
        if name in ("up", "infra"):
            return bool(first)
        return name in TAKES and (name != "why" or not first or first.startswith("--"))


NO_OPTIONS = OptionsInUse({})
