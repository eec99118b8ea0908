"""Bring the service to AWS ECS phase by phase; everything is checked before anything is changed.

\b
From nothing to phase simple:
  trail init                        write trail.yaml, a plan with comments; --from-service reads a running service
  trail infra apply                 make network, load balancer, registry, roles, alarms; shows all changes first
  trail policy                      print the IAM policy that people or CI need to roll out
  trail preflight --image IMAGE     run the image, read the account, report every mismatch; changes nothing
  trail up simple --image IMAGE     push, deploy, wait, check the gates; rolls back where one fails

\b
From there, with the image that is proven:
  trail up --to full                deploy hybrid, foundation, full; stops at the first that fails
  trail status                      progress, problems, the next command
  trail record --html trail.html    the progress tracker as a page; --note "…" adds a decision

\b
When something fails:
  trail why                         the most likely cause, with the evidence
  trail rollback                    back to what was proven before
  trail resume                      continue what was cut off: Ctrl-C, a lost network, expired credentials, a kill
  trail explain PORT_MISMATCH       what a code means; without a code, all of them

\b
A task definition of any origin: trail preflight --task-definition FILE --offline

\b
Port, health check and minimum size come from the image's contract (`docker run IMAGE contract`, or --contract FILE with
what it printed); names and sizes from trail.yaml. Each command has --help and --json; if one fails, findings[0] of the
JSON has the code and the sentence that say why. Completion: eval "$(_TRAIL_COMPLETE=bash_source trail)".

\b
Exit codes: 0 done, nothing found; 2 something was found or could not be checked, nothing was changed; of rollouts also
3 a gate failed, what was proven runs again; 4 the deployment failed, what ran before runs again; 5 the rollback failed:
look now; 6 another deployment or another's lock; 130 interrupted, the deployment goes on in AWS.
"""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from deploy.exit_codes import FOUND
from deploy.text import printable

# Command → its module, its name there, and its line in --help; a module is loaded when its command runs.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "init": ("plan", "init", "Write a plan with comments, to fill in."),
    "schema": ("plan", "schema", "Print the JSON schema of the plan, for editors."),
    "policy": ("plan", "policy", "Print the IAM policy that people or CI need to roll out."),
    "render": ("plan", "render", "Print the task definition of a phase."),
    "preflight": ("preflight", "preflight", "Compare image, plan and account, and report every mismatch."),
    "explain": ("preflight", "explain", "Say what a code of a finding or of a cause means."),
    "infra": ("infra", "infra", "Network, roles, registry, alarms, … that a rollout needs."),
    "up": ("rollout", "up", "Deploy a phase and prove it, or roll back."),
    "rollback": ("rollout", "rollback", "Go back to what was proven before."),
    "resume": ("rollout", "resume", "Continue a rollout that was cut off."),
    "why": ("why", "why", "Find out what is failing now, and why."),
    "golden": ("golden", "golden", "Write the findings that the gates compare with."),
    "status": ("record", "status", "How far the rollout is, what the problem is, the next command."),
    "record": ("record", "record", "The progress tracker as a page, and decisions added to it."),
}


class LazyGroup(click.Group):
    """The commands of `COMMANDS`, each loaded when it is needed; a misspelt one is answered with the nearest."""

    def list_commands(self, _: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Load a command; None if there is none of that name."""
        if name not in COMMANDS:
            return None
        module, attribute, _help = COMMANDS[name]
        command: click.Command = getattr(import_module(f"deploy.cli.{module}"), attribute)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_module, _attribute, line) in COMMANDS.items()])

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words begin with; raises click.UsageError with the nearest name."""
        if words and words[0] not in COMMANDS and not words[0].startswith("-"):
            near = difflib.get_close_matches(words[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            context.fail(f"No such command {words[0]!r}.{hint}")
        return super().resolve_command(context, words)


def print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the version and the commit, and end."""
    if not wanted or context.resilient_parsing:
        return
    from bentos.skin import __version__
    from bentos.skin.runtime.routes import revision

    click.echo(f"trail {__version__} ({revision() or 'revision unknown'})")
    context.exit()


@click.group(
    cls=LazyGroup,
    help=str(__doc__),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    subcommand_metavar="COMMAND …",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Print the version."
)
def trail() -> None:
    """Only groups the commands."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code: Any = trail.main(args=words, prog_name="trail", standalone_mode=False)
    except click.UsageError as error:
        return report_usage(error, as_json="--json" in words)
    except click.Abort:
        from deploy.exit_codes import INTERRUPTED

        return INTERRUPTED
    return int(code or 0)


def report_usage(error: click.UsageError, as_json: bool) -> int:
    """Say what is wrong with the command line, to people on stderr, and to programs as a finding; the exit code."""
    from deploy.findings import catalog, terminal

    context = error.ctx or click.Context(trail, info_name="trail")
    sentence = f"{context.command_path}: error: {printable(' '.join(error.format_message().split()), terminal.LONGEST)}"
    if as_json:
        terminal.print_json(terminal.failure([terminal.reason(sentence, catalog.USAGE.code)], FOUND))
    print(f"{context.get_usage()}\n{sentence}", file=sys.stderr)
    return FOUND
