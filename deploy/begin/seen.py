"""What was read of a running service, for a plan: values by their place in it, and what could not be found."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from deploy.finding import Finding
from deploy.refusal import AskError, Denied


@dataclass
class Seen:
    """Of one service.

    Attributes:
        source: where it was read, for people.
        values: dotted place in the plan → value.
        missing: dotted place in the plan → why nothing could be put there; a sentence.
        notes: what else people should know, a sentence each.
        findings: what is wrong with what runs, and was not copied.
    """

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def put(self, place: str, value: Any, otherwise: str) -> None:
        """A value, or why there is none."""
        if value in (None, "", [], {}):
            self.missing[place] = otherwise
        else:
            self.values[place] = value

    @contextmanager
    def looking_for(self, *places: str) -> Iterator[None]:
        """What AWS does not tell within is missing at these places, unless something was put there already."""
        try:
            yield
        except AskError as error:
            why = f"{error} {error.advice}" if isinstance(error, Denied) else str(error)
            for place in places:
                if place not in self.values:
                    self.missing[place] = why
        except (KeyError, IndexError, TypeError, ValueError) as error:
            for place in places:
                if place not in self.values:
                    self.missing[place] = f"AWS's answer has an unforeseen form ({type(error).__name__})."


def fits(kind: Any, value: Any) -> bool:
    """Whether a plan would take a value.

    Args:
        kind: of deploy/plan.py, such as Origin.
        value: of any form.
    """
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
