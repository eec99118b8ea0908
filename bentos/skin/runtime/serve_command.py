"""BentoML's `serve` command, which first looks whether BentoML's folder can be made.

BentoML makes it before it imports a service, and ends with a stack trace where it cannot; so this is an entry point of
`bentoml.commands` (pyproject.toml), by which an installed package adds commands or replaces them. Can be removed when
BentoML says it in one sentence.
"""

import functools
from typing import Any

import click
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml_cli.serve import serve_command
from bentoml_cli.utils import BentoMLCommandGroup

serve: click.Command = serve_command.commands["serve"]
start: Any = serve.callback


@functools.wraps(start)
def start_with_home(*args: Any, **kwargs: Any) -> Any:
    """Start as BentoML does.

    Raises:
        SystemExit: there can be no folder for BentoML; with one sentence.
    """
    try:
        BentoMLContainer.bentoml_home.get()
    except OSError as error:
        raise SystemExit(
            f"shine: BentoML cannot make its folder: {error}; set BENTOML_HOME to one that this user may write to."
        ) from None
    return start(*args, **kwargs)


serve.callback = start_with_home
del serve.params[-BentoMLCommandGroup.NUMBER_OF_COMMON_PARAMS :]  # it is added to the commands once more, with these
