"""What all commands share: their options, how whatever ends them is reported, and the question before a change."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from deploy.config.plan import PHASES
from deploy.exit_codes import INTERRUPTED
from deploy.next_command import DEFAULT_PLAN, OptionsInUse
from deploy.text import printable

MAX_PAUSE_S = 3600.0
MAX_QUESTION = 400  # characters

FILE = click.Path(path_type=Path)
PHASE = click.Choice(PHASES)
plan = click.option("--plan", type=FILE, default=Path(DEFAULT_PLAN), help="The plan (default: trail.yaml).")
contract = click.option(
    "--contract",
    type=FILE,
    metavar="FILE",
    help="What `docker run IMAGE contract` printed (default: the contract of this checkout).",
)
json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


class Unwritable(Exception):
    """A file cannot be written; the message is a sentence."""


class Command(click.Command):
    """A command whose callback returns the exit code; whatever ends it becomes one sentence, or one form of JSON."""

    def invoke(self, context: click.Context) -> int:
        """Run the callback; the exit code."""
        return run(context, lambda: super(Command, self).invoke(context))


def run(context: click.Context, callback: Callable[[], int]) -> int:
    """Run a command's callback; the exit code, also of what it raises."""
    from deploy.aws import errors
    from deploy.findings import catalog, terminal

    as_json, options = bool(context.params.get("as_json")), OptionsInUse.of(context.params)
    try:
        return callback()
    except errors.ERRORS as error:  # of boto3, where no part has made a finding of it
        return terminal.ended(errors.describe(error), errors.aws_error(error).code, as_json)
    except errors.AwsError as error:
        return terminal.ended(errors.describe(error), error.code, as_json)
    except KeyboardInterrupt:
        return terminal.ended("interrupted.", catalog.INTERRUPTED.code, as_json, INTERRUPTED)
    except Exception as error:
        if (code := failure_code(error)) is None:
            raise
        return terminal.ended(options.text(str(error)), code, as_json)


def failure_code(error: Exception) -> str | None:
    """The finding's code of an error whose message is a sentence for the user; None for any other error."""
    from deploy.aws.cloudformation import StackError
    from deploy.cli.explain import UnknownCode
    from deploy.config.image_contract import ContractError
    from deploy.config.plan import PlanError
    from deploy.diagnose.evidence import EvidenceError
    from deploy.findings.catalog import INPUT, RECORD
    from deploy.record.s3_folder import RecordError
    from deploy.taskdef.load import TaskDefinitionError

    if isinstance(error, StackError):
        return error.code
    if isinstance(error, RecordError):
        return RECORD.code
    unusable = (PlanError, ContractError, TaskDefinitionError, EvidenceError, UnknownCode, Unwritable)
    return INPUT.code if isinstance(error, unusable) else None


def confirmed(question: str, yes: bool, say: Callable[[str], None]) -> bool:
    """Whether the user confirms a change.

    Args:
        question: ends with a question mark.
        yes: of --yes: confirmed without a question.
        say: prints a line.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        say("Not a terminal; pass --yes to change it without a question.")
        return False
    print(f"{printable(question, MAX_QUESTION)} Type yes: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip() == "yes"


def seconds(text: str) -> float:
    """A number of seconds above 0 and at most an hour; raises click.BadParameter."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= MAX_PAUSE_S:  # excludes NaN too
        raise click.BadParameter(f"{text!r} is no number of seconds above 0, up to {MAX_PAUSE_S:.0f}")
    return value


def url(text: str) -> str:
    """The address of a service, without a slash at its end; raises click.BadParameter."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        valid = False
    if not valid or parts.query or parts.fragment:
        raise click.BadParameter(f"{text!r} is no URL like https://api.example.com")
    return text.rstrip("/")


def checked(check: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A callback of click that checks and converts the text of an option."""
    return lambda _context, _parameter, text: None if text is None else check(text)
