"""What the command lines `shine` and `trail` are made of: a group that loads its commands when they run."""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import click

from bentos.cli.exit_codes import FAILED, INTERRUPTED
from bentos.cli.output import complain, flushed, prepare_streams, report_unprinted
from bentos.cli.text import printable

LONGEST = 2000  # characters of a sentence
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 120}

# Command → its module, its name there, and its line in --help.
Table = Mapping[str, tuple[str, str, str]]


class LazyGroup(click.Group):
    """The commands of a table, each loaded when it is needed; a misspelt one is answered with the nearest.

    Args:
        package: that holds the modules.
        table: of the commands.
    """

    def __init__(self, *args: Any, package: str, table: Table, **options: Any) -> None:
        super().__init__(*args, **options)
        self._package, self._table = package, table

    def list_commands(self, _: click.Context) -> list[str]:
        """All names."""
        return list(self._table)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Load a command; None if there is none of that name."""
        if name not in self._table:
            return None
        module, attribute, _help = self._table[name]
        command: click.Command = getattr(import_module(f"{self._package}.{module}"), attribute)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_module, _attribute, line) in self._table.items()])

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words begin with; raises click.UsageError with the nearest name."""
        if words and words[0] not in self._table and not words[0].startswith("-"):
            near = difflib.get_close_matches(words[0], self._table, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            context.fail(f"No such command {words[0]!r}.{hint}")
        return super().resolve_command(context, words)


def version_option(program: str) -> Callable[[Any], Any]:
    """`--version`: prints the version and the commit, and ends."""

    def show(context: click.Context, _: click.Parameter, wanted: bool) -> None:
        if not wanted or context.resilient_parsing:
            return
        from bentos.skin import __version__
        from bentos.skin.runtime.routes import revision

        click.echo(f"{program} {__version__} ({revision() or 'revision unknown'})")
        context.exit()

    return click.option(
        "--version", is_flag=True, is_eager=True, expose_value=False, callback=show, help="Print the version."
    )


def call(
    group: click.Group, program: str, arguments: Sequence[str] | None, misused: Callable[[str], None] | None = None
) -> int:
    """Run a command of a group.

    Args:
        group: of commands, each of which returns its exit code.
        program: its name.
        arguments: None: those of this process.
        misused: is given the sentence on what is wrong with the arguments, before it is printed.

    Returns:
        The exit code.
    """
    prepare_streams()
    try:
        return flushed(_called(group, program, arguments, misused), program)
    except OSError as error:
        if error.filename is None:  # of standard output
            return report_unprinted(error, program)
        complain(f"{program}: {os.fsdecode(error.filename)}: {error.strerror}.")
        return FAILED


def _called(
    group: click.Group, program: str, arguments: Sequence[str] | None, misused: Callable[[str], None] | None
) -> int:
    try:
        code: Any = group.main(
            args=None if arguments is None else list(arguments), prog_name=program, standalone_mode=False
        )
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return FAILED
    except click.UsageError as error:
        context = error.ctx or click.Context(group, info_name=program)
        sentence = f"{context.command_path}: error: {printable(' '.join(error.format_message().split()), LONGEST)}"
        if misused is not None:
            misused(sentence)
        complain(f"{context.get_usage()}\n{sentence}")
        return FAILED
    except click.Abort:
        return INTERRUPTED
    except SystemExit:
        if f"_{program.upper()}_COMPLETE" in os.environ:
            raise
        raise BrokenPipeError from None  # click's own way with a closed pipe is code 1
    return int(code or 0)
