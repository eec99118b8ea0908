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
from deploy.redact import HIDDEN, masked
from deploy.taskdef import secret_values
from deploy.taskdef.placeholders import is_placeholder
from deploy.text import printable, shown
from deploy.verify.context import CheckContext, Container
from deploy.verify.registry import Violation, check, each_container, fail, warn

TRUTHS = {"true", "false", "1", "0", "yes", "no", "on", "off", "t", "f", "y", "n"}  # as pydantic reads them
NUMBERS = {
    "integer": (re.compile(r"[+-]?\d{1,300}", re.ASCII), "a whole number"),
    "number": (re.compile(r"[+-]?(\d{1,300}(\.\d{0,300})?|\.\d{1,300})([eE][+-]?\d{1,3})?", re.ASCII), "a number"),
}
MOST_NAMED = 4  # variables in a sentence
MAX_CHARACTERS = 4096  # of a value that is matched with a pattern
SECRET = re.compile(  # RDS and others name the secrets that they manage rds!cluster-…
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@!-]+(:[^:]*:[^:]*:[^:]*)?", re.ASCII
)
PARAMETER = re.compile(r"arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter/[\w/.-]+|/?\w[\w/.-]*", re.ASCII)
ENV_FILE = re.compile(r"arn:aws[a-z-]*:s3:::[a-z0-9][a-z0-9.-]*/.+")
# Variables of frameworks that the image does not use, and of the service that it replaced.
IGNORED = re.compile(
    r"(?:FLASK|DJANGO|GUNICORN|UVICORN|STREAMLIT|TORCHSERVE|TF_SERVING)_\w+|(?:AWS_)?S3_(?:MODEL_)?BUCKET(?:_NAME)?"
    r"|(?!\w+_KEY$)(?:[A-Z0-9]+_)*(?:ML|MODEL|FALLBACK)(?:_[A-Z0-9]+)*"
)


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


@check("SETTING_UNKNOWN", needs="contract")
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


@check("SETTING_VALUE", needs="contract")
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


@check("SETTINGS_REFUSED", needs="contract")
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


@check("SETTING_IGNORED", needs="contract")
def ignored(context: CheckContext) -> Iterator[Violation]:
    names = [
        name for name in (*context.environment, *context.secrets) if IGNORED.fullmatch(name) and not is_setting(name)
    ]
    if names:
        yield warn(
            f"The image does not read {', '.join(map(printable, names[:MOST_NAMED]))}"
            f"{', …' if len(names) > MOST_NAMED else ''}; its settings begin with {PREFIX}.",
            "Remove them; docs/configuration.md lists the settings, SHINE_PHASE and SHINE_WEIGHTS_URI among them.",
            *(context.in_container(f"environment {name}", name) for name in names[:MOST_NAMED]),
        )


@check("SETTING_TWICE")
@each_container
def twice(context: CheckContext, container: Container) -> Iterator[Violation]:
    names = {
        key: [variable.get("name", "") for variable in container.part.get(key, [])]
        for key in ("environment", "secrets")
    }
    for name, times in Counter([*names["environment"], *names["secrets"]]).items():
        if times > 1:
            both = name in names["environment"] and name in names["secrets"]
            where = "in both environment and secrets" if both else f"{times} times"
            make = fail if both or context.is_own(container) else warn  # ECS takes two equal names of environment
            yield make(
                container.says(f"{shown(name)} is set {where}."),
                "Keep one of them.",
                container.place(f"environment {name}", times),
            )


@check("VARIABLE_NAME")
@each_container
def named(_context: CheckContext, container: Container) -> Iterator[Violation]:
    for key in ("environment", "secrets"):
        for index, variable in enumerate(container.part.get(key, [])):
            name = variable.get("name", "")
            if not name.strip() or "=" in name:
                yield fail(
                    container.says(f"{key}[{index}] has the name {shown(name)}."),
                    "Write the name in name and the value in value.",
                    container.place(f"{key}[{index}].name", name),
                )


@check("PLACEHOLDER")
def placeholder(context: CheckContext) -> Iterator[Violation]:
    result = [
        (container, variable.get("name", ""), masked(variable.get("value", "")))
        for container in context.each
        for variable in container.part.get("environment", [])
        if is_placeholder(variable.get("value", ""))
    ]
    if result:
        named = ", ".join(f"{shown(name)} is {shown(value)}" for _, name, value in result[:MOST_NAMED])
        yield warn(
            f"{named}{', …' if len(result) > MOST_NAMED else ''}: ECS passes such values on as they stand; is this a "
            "template?",
            "Render the template first, or write the values.",
            *(container.place(f"environment {name}", value) for container, name, value in result[:MOST_NAMED]),
        )


@check("ENVIRONMENT_FILE")
@each_container
def environment_file(context: CheckContext, container: Container) -> Iterator[Violation]:
    for index, file in enumerate(container.part.get("environmentFiles", [])):
        value = str(file.get("value", ""))
        place = container.place(f"environmentFiles[{index}].value", value)
        if not ENV_FILE.fullmatch(value) or not value.endswith(".env"):
            yield fail(
                container.says(
                    f"environmentFiles[{index}] is {shown(value)}; ECS takes the ARN of an object in S3 whose name "
                    "ends with .env."
                ),
                "Rename the object, as in arn:aws:s3:::bucket/folder/name.env.",
                place,
            )
        elif context.is_own(container):
            yield warn(
                container.says(
                    f"settings come from the file {shown(value)} too, which can change without a new revision."
                ),
                "Move the settings to environment.",
                place,
            )


@check("SECRET_IN_PLAIN")
@each_container
def in_plain(context: CheckContext, container: Container) -> Iterator[Violation]:
    settings = {setting.name: setting.secret for setting in context.contract.settings} if context.ours else {}
    for name, value in _texts(container):
        looks = secret_values.kind_of(value)
        repair = (
            f"Store a new value in Secrets Manager and name its ARN in secrets; the value of {shown(name)} is no "
            "longer secret."
        )
        place = container.place(name, "not shown")
        variable = name.removeprefix("environment ")
        if settings.get(variable) and value:
            yield fail(
                container.says(f"{variable} is a secret of the image, but its value is written in environment."),
                repair,
                place,
            )
        elif looks is not None:
            yield warn(container.says(f"{shown(variable)} holds {looks}, in plain text."), repair, place)
        elif variable not in settings and secret_values.is_secret(variable, value):
            yield warn(
                container.says(f"{shown(variable)} looks like a secret, and its value is written in plain text."),
                repair,
                place,
            )


def _texts(container: Container) -> Iterator[tuple[str, str]]:
    """Paths in a container where secrets are often written, with their texts; variables as `environment NAME`."""
    for secret in container.part.get("secrets", []):
        yield "secrets valueFrom", str(secret.get("valueFrom", ""))
    for variable in container.part.get("environment", []):
        if name := variable.get("name", ""):
            yield f"environment {name}", str(variable.get("value", ""))
    for name, value in container.part.get("logConfiguration", {}).get("options", {}).items():
        yield f"logConfiguration.options.{name}", str(value)
    for key in ("command", "entryPoint"):
        for word in container.part.get(key, []):
            yield key, str(word)


@check("SECRET_ARN")
@each_container
def arn(_context: CheckContext, container: Container) -> Iterator[Violation]:
    named = [(secret, "secrets") for secret in container.part.get("secrets", [])]
    options = container.part.get("logConfiguration", {}).get("secretOptions", [])
    for secret, key in [*named, *((option, "logConfiguration.secretOptions") for option in options)]:
        name, value = secret.get("name", ""), secret.get("valueFrom", "")
        if SECRET.fullmatch(value) or PARAMETER.fullmatch(value):
            continue
        value = HIDDEN if secret_values.kind_of(value) else value
        hint = "it is neither the ARN of a secret nor a parameter"
        if ":secretsmanager:" in value and value.count(":") in (7, 8):
            hint = "a JSON key needs three colons after the secret's name, as in …:json-key::"
        yield fail(
            container.says(f"the secret {name} comes from {shown(value)}; {hint}."),
            "Write arn:aws:secretsmanager:region:account:secret:name, with :json-key:: where the secret is JSON.",
            container.place(f"{key} {name}", value),
        )
