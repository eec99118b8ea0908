"""Where findings come from: an Analyzer in this process, or a server through the Python client.

Heavy libraries are imported when a source is made, after their thread pools are limited.
"""

import math
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import click
from click.core import ParameterSource

from bentos.cli.command import CommandError, prepare, say
from bentos.cli.exit_codes import WEIGHTS
from bentos.cli.photos import Photo, PhotoUnreadable

CLIENT = "bentos.client.shine_client"  # the package shine-client, as this checkout has it
UNREADABLE = "photo_unreadable"  # code of the client, too
MODEL_UNAVAILABLE = "model_unavailable"
WITHOUT_MODEL = "Leave out --require-model to accept the findings of the heuristics."
SERVER_THREADS = 4  # photos that a server is sent at the same time; an instance on two cores answers no more at once
FATAL = frozenset({400, 401, 404, 405})  # statuses that every photo would get
CHECK_S = 5.0  # for a server to say that it is there


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of each photo.

    Attributes:
        require_model: whether an answer by the heuristics is an error.
        min_confidence: of the boxes, 0..1; None for the default.
        include: of "outlines" and "maps".
        picture: options of an overlay; None where none is wanted.
    """

    require_model: bool = False
    min_confidence: float | None = None
    include: Collection[str] = ()
    picture: dict[str, Any] | None = None

    def options(self) -> dict[str, Any]:
        """As both the Analyzer and the client take them, but for `include`."""
        return {"require": "model" if self.require_model else None, "min_confidence": self.min_confidence}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one photo.

    Attributes:
        photo: that it is about.
        analysis: an Analysis as JSON; None where there is an error.
        error: code, message, hint and request_id (of a server, else None).
        picture: PNG, where one is wanted.
    """

    photo: Photo
    analysis: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    picture: bytes | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        """The Analysis or the error, and which photo it is of."""
        return {"photo": self.photo.name, **(self.analysis or {"error": self.error})}


class Source:
    """Findings on photos, by several threads.

    Args:
        answer: Analysis and picture of the bytes of a photo.
        errors: that are of one photo.
        threads: photos at the same time.
    """

    def __init__(
        self,
        answer: Callable[[bytes], tuple[dict[str, Any], bytes | None]],
        errors: type[Exception],
        threads: int,
    ) -> None:
        self._answer, self._errors, self._threads = answer, errors, threads

    def results(self, photos: Iterable[Photo]) -> Iterator[Result]:
        """Results in the order of the photos, of which few are read ahead.

        Raises:
            CommandError: what would be the same for each photo: a wrong option, key or address.
        """
        from bentos.skin.threads import in_order

        return in_order(self._result, photos, threads=self._threads, at_once=2 * self._threads)

    def _result(self, photo: Photo) -> Result:
        try:
            analysis, picture = self._answer(photo.read())
        except PhotoUnreadable as error:
            return Result(photo, error=_error(UNREADABLE, str(error), "Name a file that can be read here."))
        except self._errors as error:
            code, message, hint = (getattr(error, name) for name in ("code", "message", "hint"))
            if getattr(error, "status", None) in FATAL:
                raise CommandError(f"{message} {hint}") from None
            hint = WITHOUT_MODEL if code == MODEL_UNAVAILABLE else hint
            return Result(photo, error=_error(code, message, hint, getattr(error, "request_id", None)))
        return Result(photo, analysis=analysis, picture=picture)


def _error(code: str, message: str, hint: str, request_id: str | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "hint": hint, "request_id": request_id}


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that analyses photos."""
    for option in reversed(
        [
            click.option("--server", metavar="URL", help="Ask this server instead; its API key is in SHINE_API_KEY."),
            weights_option,
            click.option("--require-model", is_flag=True, help="Take no findings of the heuristics (exit code 4)."),
            click.option(
                "--min-confidence",
                type=click.FloatRange(0, 1),
                callback=_number,
                metavar="0..1",
                help="Of the boxes (default: where F1 on labelled photos is best).",
            ),
        ]
    ):
        command = option(command)
    return command


def _number(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse NaN, which lies within any range."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("it is no number.", context, parameter)
    return value


weights_option = click.option(
    "--weights",
    envvar="SHINE_WEIGHTS_URI",
    metavar="PLACE",
    help="In this process: a bundle's folder or s3://… (default: SHINE_WEIGHTS_URI, else those of this package).",
)


@contextmanager
def open_source(server: str | None, weights: str | None, wanted: Wanted) -> Iterator[Source]:
    """The source that the options name.

    Args:
        server: its URL; None: in this process.
        weights: of this process.
        wanted: of each photo.

    Raises:
        CommandError: it cannot be used, or the model is required and cannot be.
    """
    if not server:
        yield _of_this_process(weights, wanted)
        return
    with open_client(server) as client:
        yield _of_server(server, client, wanted)


def open_analyzer(weights: str | None) -> Any:
    """An Analyzer.

    Raises:
        CommandError: the weights are named in a wrong way.
    """
    prepare()
    from bentos.skin.analyzer import Analyzer
    from bentos.skin.settings import SettingsError

    try:
        return Analyzer(weights or None)
    except SettingsError:
        raise CommandError("--weights must name a folder or s3://bucket/prefix.") from None


def _of_this_process(weights: str | None, wanted: Wanted) -> Source:
    analyzer = open_analyzer(weights)
    status = analyzer.status
    if status.state != "ready":
        more = f"shine weights check {shlex.quote(weights)}" if weights else "shine doctor"
        _without_model(status.reason, status.last_error and status.last_error.message, wanted.require_model, more)
    from bentos.skin import cgroup
    from bentos.skin.errors import ShineError

    def answer(data: bytes) -> tuple[dict[str, Any], bytes | None]:
        if wanted.picture is None:
            analysis, picture = analyzer.analyze(data, include=wanted.include, **wanted.options()), None
        else:
            analysis, picture = analyzer.illustrate(data, include=wanted.include, **wanted.options(), **wanted.picture)
        return analysis.model_dump(mode="json"), picture

    return Source(answer, ShineError, cgroup.cpus())


def open_client(url: str, *, deadline: float | None = None) -> Any:
    """A client of a server.

    Raises:
        CommandError: the URL or the API key of the environment is none, or weights are named as well.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.get_parameter_source("weights") is ParameterSource.COMMANDLINE:
        raise CommandError("A server has weights of its own: give --server or --weights, not both.")
    module = import_module(CLIENT)
    try:
        return module.ShineClient(url, **({} if deadline is None else {"deadline": deadline}))
    except ValueError as error:
        raise CommandError(str(error)) from None


def ask(url: str, method: str) -> Any:
    """What a server says of itself.

    Args:
        url: of the server.
        method: of the client: status, version, ready.

    Raises:
        CommandError: it does not answer.
    """
    module = import_module(CLIENT)
    with open_client(url, deadline=CHECK_S) as client:
        try:
            return getattr(client, method)()
        except module.ShineError as error:
            raise CommandError(f"{url}: {error.message.removesuffix('.')}. {error.hint}".rstrip()) from None


def _of_server(url: str, client: Any, wanted: Wanted) -> Source:
    status = ask(url, "status")
    if status.model is None and status.policy.model_wanted:
        cause = status.last_error and status.last_error.message
        _without_model(status.reason, cause, wanted.require_model, f"shine status --server {shlex.quote(url)}")
    errors = import_module(CLIENT).ShineError

    def answer(data: bytes) -> tuple[dict[str, Any], bytes | None]:
        analysis = client.analyze(data, include=wanted.include, **wanted.options())
        picture = None if wanted.picture is None else client.overlay(data, **wanted.options(), **wanted.picture)
        return analysis.model_dump(mode="json", exclude_unset=True), picture

    return Source(answer, errors, SERVER_THREADS)


def _without_model(reason: str | None, cause: str | None, required: bool, more: str) -> None:
    """Say that the model does not answer.

    Args:
        reason: code of the contract.
        cause: in a sentence.
        required: whether it must.
        more: a command that tells more.

    Raises:
        CommandError: it is required.
    """
    what = f"The model does not answer ({reason}){f': {cause}' if cause else '.'}"
    if required:
        raise CommandError(f"{what} `{more}` tells more. {WITHOUT_MODEL}", WEIGHTS)
    say(f"{what} The heuristics answer instead, and each result says so. `{more}` tells more.")
