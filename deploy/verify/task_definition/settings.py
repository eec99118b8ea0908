"""Will the image accept its settings; do secrets stay secret, and can ECS find them. No secret value is ever shown."""

import difflib
import operator
import re
from collections import Counter
from collections.abc import Iterator

from bentos.skin.settings import INJECTED, PREFIX, SettingsError
from bentos.skin.settings import read as read_settings
from deploy.config.image_contract import STAND_IN, Schema
from deploy.findings.finding import CheckSkipped
from deploy.text import shown
from deploy.verify.context import CheckContext
from deploy.verify.registry import Violation, check, fail, warn

TRUTHS = {"true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n"}  # as pydantic reads them
NUMBERS = {
    "integer": (re.compile(r"[+-]?\d{1,300}", re.ASCII), "a whole number"),
    "number": (re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,3})?", re.ASCII), "a number"),
}
MAX_CHARACTERS = 4096  # of a value that is matched with a pattern
LOOKS_SECRET = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRETS|TOKEN|TOKENS|CREDENTIALS?|API_?KEYS?|PRIVATE_KEY|ACCESS_KEY"
    r"|SECRET_KEY|KEYS?)$|^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)$",
    re.IGNORECASE,
)
SECRET = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+(:[^:]*:[^:]*:[^:]*)?", re.ASCII
)
PARAMETER = re.compile(r"arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter/[\w/.-]+|/?[A-Za-z][\w/.-]*", re.ASCII)


def misfit(schema: Schema, text: str) -> str | None:
    """Why a variable's text does not fit a setting's schema, in words that follow "it"; None where it fits.

    To the image an empty text means "not set", and lists are separated by commas.
    """
    if not text.strip():
        return None
    if options := [option for option in schema.any_of if option.type != "null"]:
        reasons = [misfit(option, text) for option in options]
        return None if None in reasons else reasons[0]
    if schema.enum is not None:
        known = [str(value) for value in schema.enum]
        return None if text in known else f"must be one of {', '.join(known)}"
    if schema.type == "boolean":
        return None if text.lower() in TRUTHS else "must be true or false"
    if schema.type in NUMBERS:
        shape, name = NUMBERS[schema.type]
        return out_of_bounds(schema, float(text)) if shape.fullmatch(text.strip()) else f"must be {name}"
    if schema.pattern is not None and (len(text) > MAX_CHARACTERS or not schema.pattern.search(text)):
        return f"must match {schema.pattern.pattern}"
    return None


def out_of_bounds(schema: Schema, value: float) -> str | None:
    """The limit that a number exceeds, in words that follow "it"; None where it fits."""
    for limit, words, fits in (
        (schema.minimum, "at least", operator.ge),
        (schema.exclusive_minimum, "above", operator.gt),
        (schema.maximum, "at most", operator.le),
        (schema.exclusive_maximum, "below", operator.lt),
    ):
        if limit is not None and not fits(value, limit):
            return f"must be {words} {limit:g}"
    return None


def is_setting(name: str) -> bool:
    """Whether the image reads a variable as one of its settings; it ignores what ECS and Kubernetes inject."""
    return name.upper().startswith(PREFIX) and not INJECTED.fullmatch(name)


@check("SETTING_UNKNOWN")
def unknown(context: CheckContext) -> Iterator[Violation]:
    known = {setting.name for setting in context.contract.settings}
    for kind, names in (("environment", context.environment), ("secrets", context.secrets)):
        for name in names:
            if is_setting(name) and name not in known:
                near = difflib.get_close_matches(name.upper(), sorted(known), n=1)
                hint = f"did you mean {near[0]}?" if near else "the image has no setting with a similar name."
                yield fail(
                    f"{name} is not a setting of the image; {hint}",
                    f"Rename it to {near[0]}." if near else f"Remove {name}.",
                    context.in_container(f"{kind} {name}", name),
                    context.in_contract("settings", near),
                )


@check("SETTING_VALUE")
def values(context: CheckContext) -> Iterator[Violation]:
    for setting in context.contract.settings:
        name, text = setting.name, context.environment.get(setting.name, "")
        if not setting.secret and (reason := misfit(setting.type, text)) is not None:
            yield fail(
                f"{name} is {shown(text)}, but it {reason}.",
                f"Correct {name}, or remove it; the image's default is {shown(setting.default)}.",
                context.in_container(f"environment {name}", text),
                context.in_contract(f"settings.{name}", reason),
            )


@check("SETTINGS_REFUSED")
def together(context: CheckContext) -> Iterator[Violation]:
    if not context.own_contract:
        raise CheckSkipped("not checked, since the image has other settings than this checkout")
    known = {setting.name: setting for setting in context.contract.settings}
    if any(is_setting(name) and name not in known for name in (*context.environment, *context.secrets)):
        raise CheckSkipped("not checked, since a name is unknown")
    values = {name: text for name, text in context.environment.items() if name in known}
    if any(not known[name].secret and misfit(known[name].type, text) for name, text in values.items()):
        raise CheckSkipped("not checked, since a value does not fit")
    stand_ins = {name: STAND_IN for name in context.secrets if name in known and known[name].secret}
    try:
        read_settings({**values, **stand_ins})
    except SettingsError as error:
        name = str(error).partition(" ")[0]
        secret = name in known and known[name].secret
        shows = "it" if secret else shown(values.get(name, ""))
        yield fail(
            f"The image would refuse its settings: {error}",
            f"Correct {name}.",
            context.in_container(f"environment {name}", "not shown" if secret else shows),
        )


@check("SETTING_TWICE")
def twice(context: CheckContext) -> Iterator[Violation]:
    names = [
        variable.get("name", "") for key in ("environment", "secrets") for variable in context.container.get(key, [])
    ]
    for name, times in Counter(names).items():
        if times > 1:
            both = name in context.environment and name in context.secrets
            where = "in both environment and secrets" if both else f"{times} times"
            yield fail(
                f"{name} is set {where}.", "Keep one of them.", context.in_container(f"environment {name}", times)
            )


@check("VARIABLE_NAME")
def named(context: CheckContext) -> Iterator[Violation]:
    for key in ("environment", "secrets"):
        for index, variable in enumerate(context.container.get(key, [])):
            name = variable.get("name", "")
            if not name.strip() or "=" in name:
                yield fail(
                    f"{key}[{index}] has the name {shown(name)}.",
                    "Write the name in name and the value in value.",
                    context.in_container(f"{key}[{index}].name", name),
                )


@check("ENVIRONMENT_FILE")
def environment_file(context: CheckContext) -> Iterator[Violation]:
    for index, file in enumerate(context.container.get("environmentFiles", [])):
        yield warn(
            f"Settings come from the file {shown(file.get('value'))} too, which can change without a new revision.",
            "Move the settings to environment.",
            context.in_container(f"environmentFiles[{index}].value", file.get("value")),
        )


@check("SECRET_IN_PLAIN")
def in_plain(context: CheckContext) -> Iterator[Violation]:
    secret = {setting.name for setting in context.contract.settings if setting.secret}
    settings = {setting.name for setting in context.contract.settings}
    variables = [
        (name, str(variable.get("value", "")), f"containerDefinitions[{index}].environment {name}")
        for index, container in enumerate(context.containers)
        for variable in container.get("environment", [])
        if (name := variable.get("name", ""))
    ]
    for name, value, path in variables:
        repair = (
            f"Store a new value in Secrets Manager and name its ARN in secrets; the value of {name} is no longer "
            "secret."
        )
        place = context.in_task(path, "not shown")
        if name in secret and value:
            yield fail(f"{name} is a secret of the image, but its value is written in environment.", repair, place)
        elif name not in settings and value and LOOKS_SECRET.search(name) and not value.startswith("arn:"):
            yield warn(f"{shown(name)} looks like a secret, and its value is written in environment.", repair, place)


@check("SECRET_ARN")
def arn(context: CheckContext) -> Iterator[Violation]:
    for name, value in context.secrets.items():
        if SECRET.fullmatch(value) or PARAMETER.fullmatch(value):
            continue
        hint = "it is neither the ARN of a secret nor a parameter"
        if ":secretsmanager:" in value and value.count(":") in (7, 8):
            hint = "a JSON key needs three colons after the secret's name, as in …:json-key::"
        yield fail(
            f"The secret {name} comes from {shown(value)}; {hint}.",
            "Write arn:aws:secretsmanager:region:account:secret:name, with :json-key:: where the secret is JSON.",
            context.in_container(f"secrets {name}", value),
        )
