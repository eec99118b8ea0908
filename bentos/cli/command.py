"""A command of `shine`: whatever ends it becomes one sentence on standard error and an exit code."""

import logging
import os
from pathlib import Path

import click
from click.core import ParameterSource

from bentos.cli.exit_codes import FAILED, INTERRUPTED, THERE
from bentos.cli.group import LONGEST
from bentos.cli.output import complain
from bentos.cli.text import printable

json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace output that exists.")


class CommandError(Exception):
    """A command cannot go on.

    Args:
        sentence: what is wrong, and a way on.
        code: exit code.
    """

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.code = code


class Command(click.Command):
    """A command whose callback returns the exit code."""

    def invoke(self, context: click.Context) -> int:
        """Run the callback; the exit code, also of what it raises."""
        for parameter in self.params:
            value = context.params.get(parameter.name or "")
            given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
            if given and (value == "" or (isinstance(value, tuple) and "" in value)):
                raise click.BadParameter("it is empty.", context, parameter)
        try:
            code: int = super().invoke(context)
            return code
        except CommandError as error:
            say(str(error))
            return error.code
        except KeyboardInterrupt:
            say("interrupted.")
            return INTERRUPTED


def prepare() -> None:
    """Before NumPy is imported: limit its thread pools. What the log says, commands say themselves."""
    from bentos.skin.threads import limit_pools

    limit_pools()
    logging.getLogger("shine").addHandler(logging.NullHandler())


def say(sentence: str) -> None:
    """Tell the user something beside the output."""
    complain(f"shine: {printable(sentence, LONGEST)}")


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Refuse output that exists.

    Raises:
        CommandError: it does, or its folder does not.
    """
    if path.is_dir():
        raise CommandError(f"{path} is a folder; name a file in it.")
    if not overwrite and (path.exists() or path.is_symlink()):
        raise CommandError(f"{path} exists; name another file, or add --overwrite.", THERE)
    if not path.absolute().parent.is_dir():
        raise CommandError(f"There is no folder {path.absolute().parent} for {path.name}; make it, or name another.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise CommandError(f"Nothing can be written into {path.absolute().parent}; allow it, or name another folder.")


def unwritable(path: Path, error: OSError) -> CommandError:
    """What to say of output that cannot be written."""
    return CommandError(
        f"{path} cannot be written: {error.strerror or error}. Nothing of it is left; make room or name another place."
    )
