"""Do secrets stay secret, and can ECS find them. No value of a secret is ever shown."""

import re
from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.text import shown
from deploy.verify.context import CheckContext

LOOKS_SECRET = re.compile(
    r"(^|_)(PASSWORD|PASSWD|PASSPHRASE|SECRET|SECRETS|TOKEN|TOKENS|CREDENTIALS?|API_?KEYS?|PRIVATE_KEY|ACCESS_KEY"
    r"|SECRET_KEY|KEYS?)$|^AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)$",
    re.IGNORECASE,
)
SECRET = re.compile(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+(:[^:]*:[^:]*:[^:]*)?", re.ASCII
)
PARAMETER = re.compile(r"arn:aws[a-z-]*:ssm:[a-z0-9-]+:\d{12}:parameter/[\w/.-]+|/?[A-Za-z][\w/.-]*", re.ASCII)


@check(
    "SECRET_IN_PLAIN",
    "No secret stands in plain in environment",
    why="Whoever may describe a task definition reads its environment, in every revision that ever was. Secrets belong "
    "into Secrets Manager or Parameter Store, and only their ARN into secrets.",
)
def in_plain(case: CheckContext) -> Iterator[Violation]:
    secret = {one.name for one in case.contract.settings if one.secret}
    settings = {one.name for one in case.contract.settings}
    everywhere = [
        (name, str(one.get("value", "")), f"containerDefinitions[{place}].environment {name}")
        for place, container in enumerate(case.containers)
        for one in container.get("environment", [])
        if (name := one.get("name", ""))
    ]
    for name, value, path in everywhere:
        repair = f"Store it in Secrets Manager, name its ARN in secrets, and give out a new one: {name} has been seen."
        place = case.at(path, "not shown")
        if name in secret and value:
            yield fail(f"{name} is a secret of the image and stands in plain in environment.", repair, place)
        elif name not in settings and value and LOOKS_SECRET.search(name) and not value.startswith("arn:"):
            yield warn(f"{shown(name)} looks like a secret and stands in plain in environment.", repair, place)


@check(
    "SECRET_ARN",
    "Each secret is named so that ECS finds it",
    why="A secret's ARN ends with its name, or with :json-key:stage:version, of which all three colons must stand even "
    "where stage and version are empty.",
)
def arn(case: CheckContext) -> Iterator[Violation]:
    for name, value in case.secrets.items():
        if SECRET.fullmatch(value) or PARAMETER.fullmatch(value):
            continue
        hint = "it is neither the ARN of a secret nor a parameter"
        if ":secretsmanager:" in value and value.count(":") in (7, 8):
            hint = "after the secret's name come three colons, as in …:json-key::, and not fewer"
        yield fail(
            f"The secret {name} comes from {shown(value)}; {hint}.",
            "Write arn:aws:secretsmanager:region:account:secret:name, with :json-key:: where the secret is JSON.",
            case.inside(f"secrets {name}", value),
        )
