"""Tells values that must not stand in a task definition: by their form, and by the whole words of a variable's name."""

import re

# Words of a variable's name, the last ones: DB_PASSWORD, dbPassword, spring.datasource.password.
WORDS = {
    "password", "passwd", "passphrase", "pass", "pwd", "secret", "secrets", "token", "credential", "credentials",
    "apikey", "apikeys", "pgpassword",
}  # fmt: skip
# KEY is a secret only after one of these: S3_MODEL_KEY and DYNAMO_PARTITION_KEY name an object and a column.
KEYS = {
    "api",
    "access",
    "secret",
    "private",
    "encryption",
    "signing",
    "master",
    "license",
    "auth",
    "jwt",
    "account",
    "shared",
}
NAMES = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token", "secret_key_base"}
# Before TOKEN: a number or a mark of a text, and no secret.
NOT_TOKENS = {"max", "min", "next", "num", "total", "stop", "eos", "bos", "pad", "csrf", "cancellation", "page"}
FORMS = (
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "the ID of an AWS key"),
    (re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"), "a private key"),
    (re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+"), "a JSON web token"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_\w{30,}"), "a token of GitHub"),
    (re.compile(r"\bglpat-[\w-]{20,}"), "a token of GitLab"),
    (re.compile(r"\bxox[abprs]-[\w-]{10,}"), "a token of Slack"),
    (re.compile(r"\b[sr]k_live_\w{16,}"), "a key of Stripe"),
)
PARAMETER = re.compile(r"[?&;](?:password|pwd)=(?P<password>[^&;\s\"']+)", re.IGNORECASE)  # of JDBC, of ADO.NET
URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"']*:(?P<password>[^\s/@\"']+)@", re.IGNORECASE)
NOT_A_VALUE = re.compile(  # references, placeholders, switches, files
    r"arn:.*|\{\{.*|\$.*|<[^>]*>|%\w+%|\*+|true|false|yes|no|on|off|none|null|/[\w.-]+(?:/[\w.-]+)+|"
    r"(?:ssm|vault|secretsmanager|sm|file|https?|s3)://?[^@]*",
    re.IGNORECASE | re.DOTALL,
)
PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+")  # of a secret in a store


def kind_of(value: str) -> str | None:
    """What secret a value holds by its form, in words; None where it holds none."""
    for form, kind in FORMS:
        if form.search(value):
            return kind
    url = URL.search(value) or PARAMETER.search(value)
    return None if url is None or NOT_A_VALUE.fullmatch(url["password"]) else "an address with a password"


def is_secret(name: str, value: str) -> bool:
    """Whether the whole words of a variable's name say that its value is secret, and the value may be one."""
    if not value.strip() or NOT_A_VALUE.fullmatch(value.strip()):
        return False
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    words = [word for word in re.split(r"[^A-Za-z0-9]+", split.lower()) if word]
    if not words:
        return False
    if "_".join(words) in NAMES:
        return True
    *before, last = words
    if last in ("key", "keys"):
        return bool(before) and before[-1] in KEYS and "public" not in before
    if last == "token" and before and before[-1] in NOT_TOKENS:
        return False
    if last in ("secret", "secrets", "credentials") and PATH.fullmatch(value):
        return False  # the name of a secret, and not its value
    return last in WORDS
