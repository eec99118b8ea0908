"""What was read from a running service for a plan: values by their place in the plan, and what could not be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from deploy.aws.errors import AwsError, Denied
from deploy.findings.finding import Finding


@dataclass
class ImportedValues:
    """Values read from one service.

    Attributes:
        source: the service, for people.
        values: dotted place in the plan → value.
        missing: dotted place in the plan → why there is no value; a sentence.
        notes: what else people should know, a sentence each.
        findings: what is wrong with the running service and was not copied.
    """

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def set_value(self, place: str, value: Any, reason: str) -> None:
        """Set a value, or the reason why there is none where it is None or empty."""
        if value in (None, "", [], {}):
            self.missing[place] = reason
        else:
            self.values[place] = value

    @contextmanager
    def missing_on_error(self, *places: str) -> Iterator[None]:
        """Turn an error of AWS into the reason why these places have no value; values that are set stay."""
        try:
            yield
        except AwsError as error:
            self._set_missing(places, f"{error} {error.advice}" if isinstance(error, Denied) else str(error))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            self._set_missing(places, f"AWS's answer has an unexpected form ({type(error).__name__}).")

    def _set_missing(self, places: tuple[str, ...], reason: str) -> None:
        self.missing |= {place: reason for place in places if place not in self.values}


def fits(kind: Any, value: Any) -> bool:
    """Whether a plan accepts a value.

    Args:
        kind: a type of deploy/config/plan.py, such as Origin.
        value: anything.
    """
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
