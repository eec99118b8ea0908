"""Findings on the skin in photos: in this process, or by a server that runs.

\b
  shine analyze face.jpg                              a table of findings
  shine analyze photos/ --json                        a list, one Analysis or error a photo
  shine analyze face.jpg --overlay out.png            the findings drawn into the photo
  shine analyze face.jpg --server http://localhost:5000
  shine batch photos/ findings/                       any number of photos, on one machine or a Ray cluster: Parquet
  shine report photos/ --out report.html              one page: overlays, a table, distributions

\b
  shine status                                        which weights answer, and else why not
  shine doctor                                        what is wrong with this machine or its settings, and the repair
  shine weights list s3://bucket/face-skin            versions of weights; also check, publish, rollback

\b
Findings are those of the HTTP endpoints (docs/api.md), and no medical diagnosis. Tables are for terminals; in a pipe
there is plain text with tabs. Progress goes to standard error. NO_COLOR is heeded. Each command has --help.
Completion: eval "$(_SHINE_COMPLETE=bash_source shine)", and the same with zsh_source, or fish_source.

\b
Exit codes: 0 done; 1 some photos failed, their errors are in the output; 2 wrong usage, or nothing could be done;
3 refused, because the output exists or is in use; 4 the weights cannot be used; 130 interrupted; 141 the
reader of the output has gone.
"""

import os
import sys
from collections.abc import Sequence

import click

from bentos.cli.exit_codes import CLOSED, INTERRUPTED
from bentos.cli.group import CONTEXT, LazyGroup, Table, call, version_option

COMMANDS: Table = {
    "analyze": ("analyze", "analyze", "Findings on photos, as a table, JSON or pictures."),
    "batch": ("batch", "batch", "Findings on any number of photos as Parquet; can be resumed."),
    "report": ("report", "report", "One HTML page on all photos of a folder."),
    "status": ("status", "status", "Which weights answer, and else why not."),
    "doctor": ("doctor", "doctor", "What is wrong with this machine or its settings, and the repair."),
    "weights": ("weights", "weights", "Check, list, publish and roll back weights."),
}


@click.group(
    cls=LazyGroup,
    package="bentos.cli",
    table=COMMANDS,
    help=str(__doc__),
    context_settings=CONTEXT,
    subcommand_metavar="COMMAND …",
)
@version_option("shine")
def shine() -> None:
    """Only groups the commands."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    return call(shine, "shine", arguments)


def main() -> None:
    """The program: ends with the exit code."""
    code = run()
    if code in (INTERRUPTED, CLOSED):
        os._exit(code)  # at once: threads that still analyse or wait for a server are not waited for
    sys.exit(code)
