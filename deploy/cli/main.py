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

import sys
from collections.abc import Sequence

import click

from bentos.cli.group import CONTEXT, LazyGroup, Table, call, version_option
from deploy.exit_codes import FOUND

COMMANDS: Table = {
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


@click.group(
    cls=LazyGroup,
    package="deploy.cli",
    table=COMMANDS,
    help=str(__doc__),
    context_settings=CONTEXT,
    subcommand_metavar="COMMAND …",
)
@version_option("trail")
def trail() -> None:
    """Only groups the commands."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return call(trail, "trail", words, _print_finding if "--json" in words else None)


def _print_finding(sentence: str) -> None:
    """What is wrong with a command line, for programs."""
    from deploy.findings import catalog, terminal

    terminal.print_json(terminal.failure([terminal.reason(sentence, catalog.USAGE.code)], FOUND))
