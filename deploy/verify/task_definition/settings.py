"""Will the image take its settings: known names, values that fit, each once."""

import difflib
import operator
import re
from collections import Counter
from collections.abc import Iterator

from bentos.skin.settings import INJECTED, PREFIX, SettingsError
from bentos.skin.settings import read as read_settings
from deploy.config.image_contract import STAND_IN, Schema
from deploy.findings.catalog import Violation, check, fail, warn
from deploy.findings.finding import CheckSkipped
from deploy.text import shown
from deploy.verify.context import CheckContext

TRUTHS = {"true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n"}  # as pydantic reads them
NUMBERS = {
    "integer": (re.compile(r"[+-]?\d{1,300}", re.ASCII), "a whole number"),
    "number": (re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,3})?", re.ASCII), "a number"),
}
MOST_CHARACTERS = 4096  # of a value that is held against a pattern


def unfit(schema: Schema, text: str) -> str | None:
    """Why a variable's text does not fit a setting's schema, in words that follow "it"; None where it fits.

    An empty text means "not set" to the image, and lists are read comma separated.
    """
    if not text.strip():
        return None
    if options := [one for one in schema.any_of if one.type != "null"]:
        reasons = [unfit(one, text) for one in options]
        return None if None in reasons else reasons[0]
    if schema.enum is not None:
        known = [str(one) for one in schema.enum]
        return None if text in known else f"must be one of {', '.join(known)}"
    if schema.type == "boolean":
        return None if text.lower() in TRUTHS else "must be true or false"
    if schema.type in NUMBERS:
        shape, name = NUMBERS[schema.type]
        return out_of_bounds(schema, float(text)) if shape.fullmatch(text.strip()) else f"must be {name}"
    if schema.pattern is not None and (len(text) > MOST_CHARACTERS or not schema.pattern.search(text)):
        return f"must match {schema.pattern.pattern}"
    return None


def out_of_bounds(schema: Schema, value: float) -> str | None:
    """The limit that a number breaks."""
    for limit, words, keeps in (
        (schema.minimum, "at least", operator.ge),
        (schema.exclusive_minimum, "above", operator.gt),
        (schema.maximum, "at most", operator.le),
        (schema.exclusive_maximum, "below", operator.lt),
    ):
        if limit is not None and not keeps(value, limit):
            return f"must be {words} {limit:g}"
    return None


def is_setting(name: str) -> bool:
    """Whether the image takes a variable for a setting of its own; what ECS and Kubernetes inject it passes over."""
    return name.upper().startswith(PREFIX) and not INJECTED.fullmatch(name)


@check(
    "SETTING_UNKNOWN",
    "Every SHINE_ variable is a setting of the image",
    why="The image refuses to start on an unknown SHINE_ name, so that a misspelt one is never passed over in silence.",
)
def unknown(case: CheckContext) -> Iterator[Violation]:
    known = {one.name for one in case.contract.settings}
    for kind, names in (("environment", case.environment), ("secrets", case.secrets)):
        for name in names:
            if is_setting(name) and name not in known:
                near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
                hint = f"did you mean {near[0]}?" if near else "the image has no setting like it."
                yield fail(
                    f"{name} is no setting of the image; {hint}",
                    f"Rename it to {near[0]}." if near else f"Take {name} out.",
                    case.inside(f"{kind} {name}", name),
                    case.asked("settings", near),
                )


@check(
    "SETTING_VALUE",
    "Every setting's value is one that the image takes",
    why="The image refuses to start on a value that cannot be, and the task is replaced without end.",
)
def values(case: CheckContext) -> Iterator[Violation]:
    for one in case.contract.settings:
        text = case.environment.get(one.name, "")
        if not one.secret and (reason := unfit(one.type, text)) is not None:
            yield fail(
                f"{one.name} is {shown(text)}, and it {reason}.",
                f"Set {one.name} so that it fits, or take it out; the image's own value is {shown(one.default)}.",
                case.inside(f"environment {one.name}", text),
                case.asked(f"settings.{one.name}", reason),
            )


@check(
    "SETTINGS_REFUSED",
    "The image's own reader takes all settings together",
    why="Some settings depend on others: a rate limit counts by API key, metrics embedded in the log need it as JSON, "
    "origins have a form. Asked of the image's own code where this checkout is what the image was made of.",
)
def together(case: CheckContext) -> Iterator[Violation]:
    if not case.own_contract:
        raise CheckSkipped("not looked at, since the image's settings are not those of this checkout")
    known = {one.name: one for one in case.contract.settings}
    if any(is_setting(name) and name not in known for name in (*case.environment, *case.secrets)):
        raise CheckSkipped("not looked at, since a name is unknown")
    given = {name: text for name, text in case.environment.items() if name in known}
    if any(not known[name].secret and unfit(known[name].type, text) for name, text in given.items()):
        raise CheckSkipped("not looked at, since a value does not fit")
    hidden = {name: STAND_IN for name in case.secrets if name in known and known[name].secret}
    try:
        read_settings({**given, **hidden})
    except SettingsError as error:
        name = str(error).partition(" ")[0]
        secret = name in known and known[name].secret
        shows = "it" if secret else shown(given.get(name, ""))
        yield fail(
            f"The image would refuse its settings: {error}",
            f"Correct {name}.",
            case.inside(f"environment {name}", "not shown" if secret else shows),
        )


@check(
    "SETTING_TWICE",
    "Each variable is set once",
    why="ECS refuses a name that is in environment and in secrets, and which of two equal names wins is left open.",
)
def twice(case: CheckContext) -> Iterator[Violation]:
    names = [one.get("name", "") for key in ("environment", "secrets") for one in case.container.get(key, [])]
    for name, times in Counter(names).items():
        if times > 1:
            both = name in case.environment and name in case.secrets
            where = "in environment and in secrets" if both else f"{times} times"
            yield fail(f"{name} is set {where}.", "Keep one of them.", case.inside(f"environment {name}", times))


@check(
    "VARIABLE_NAME",
    "Each variable has a name",
    why="ECS refuses an entry of environment without a name.",
)
def named(case: CheckContext) -> Iterator[Violation]:
    for key in ("environment", "secrets"):
        for place, one in enumerate(case.container.get(key, [])):
            name = one.get("name", "")
            if not name.strip() or "=" in name:
                yield fail(
                    f"{key}[{place}] has the name {shown(name)}.",
                    "Give it a name, with its value in value.",
                    case.inside(f"{key}[{place}].name", name),
                )


@check(
    "ENVIRONMENT_FILE",
    "All settings stand in the task definition",
    why="What an environment file in S3 holds can change without a new revision, and cannot be judged here.",
)
def file(case: CheckContext) -> Iterator[Violation]:
    for place, one in enumerate(case.container.get("environmentFiles", [])):
        yield warn(
            f"Settings come from the file {shown(one.get('value'))} too, which is not read here and can change alone.",
            "Write the settings into environment.",
            case.inside(f"environmentFiles[{place}].value", one.get("value")),
        )
