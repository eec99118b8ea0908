"""`shine status`: which weights answer, and else why not."""

import json
from typing import Any

import click

from bentos.cli.command import Command, json_output
from bentos.cli.exit_codes import DONE, WEIGHTS
from bentos.cli.sources import ask, open_analyzer, weights_option
from bentos.cli.text import printable

LONGEST_VALUE = 300  # characters


@click.command(cls=Command)
@json_output
@click.option("--server", metavar="URL", help="Ask this server instead; its API key is in SHINE_API_KEY.")
@weights_option
def status(as_json: bool, server: str | None, weights: str | None) -> int:
    """Which weights answer, and else why not.

    \b
    shine status                                # the weights that `shine analyze` uses here
    shine status --weights s3://bucket/face-skin --json
    shine status --server http://localhost:5000  # a server: its /ml/status, and what it runs

    Exit codes: 0 the model answers, or none is wanted; 2 the server gives no answer; 4 the weights cannot be used.
    """
    if server:
        model = ask(server, "status")
        content = {**ask(server, "version").model_dump(mode="json"), "status": model.model_dump(mode="json")}
    else:
        from bentos.skin import __version__

        model = open_analyzer(weights).status
        content = {"version": __version__, "status": model.model_dump(mode="json")}
    state = content["status"]
    if as_json:
        print(json.dumps(content, indent=1))
    else:
        for name, value in lines(content):
            print(f"{name:12} {printable(str(value), LONGEST_VALUE)}")
    return DONE if state["model"] or state["state"] == "disabled" else WEIGHTS


def lines(content: dict[str, Any]) -> list[tuple[str, Any]]:
    """What a person reads of the status, by name."""
    state, model = content["status"], content["status"]["model"] or {}
    rows = [
        ("shine", content["version"]),
        ("phase", content.get("phase")),
        ("state", state["state"]),
        ("why", state["reason"]),
        ("model", " ".join(filter(None, (model.get("name"), model.get("version"))))),
        ("sha256", model.get("sha256")),
        ("source", model.get("source")),
        ("engine", model.get("engine")),
        ("note", model.get("note")),
        ("last error", (state["last_error"] or {}).get("message")),
    ]
    if "answers" in state:  # of a server
        rows.append(("answers", ", ".join(f"{number} {who}" for who, number in state["answers"].items())))
        rows.append(("breaker", state["breaker"]))
    return [(name, value) for name, value in rows if value]
