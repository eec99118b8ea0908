"""Does the task definition have what its phase needs."""

from collections.abc import Iterator

from deploy.findings.finding import Place
from deploy.text import shown
from deploy.verify.context import CheckContext
from deploy.verify.registry import Violation, check, fail, warn

URI, PIN, KEYS, REQUIRE = "SHINE_WEIGHTS_URI", "SHINE_WEIGHTS_SHA256", "SHINE_API_KEYS", "SHINE_REQUIRE_MODEL"
FROM_S3 = ("foundation", "full")  # phases whose weights come from S3, pinned
TRUE = ("true", "1", "yes", "on", "t", "y")


def given(context: CheckContext, name: str) -> str:
    """A setting's value, or the ARN of its secret."""
    return context.environment.get(name, "").strip() or context.secrets.get(name, "")


def phase_place(context: CheckContext) -> Place:
    """The place of the phase."""
    return context.in_container("environment SHINE_PHASE", context.settings_phase)


@check("PHASE", needs="contract")
def meant(context: CheckContext) -> Iterator[Violation]:
    if context.phase is not None and context.settings_phase != context.phase:
        yield fail(
            f"SHINE_PHASE is {shown(context.settings_phase)}, but the phase to roll out is {shown(context.phase)}.",
            f"Set SHINE_PHASE to {context.phase}.",
            phase_place(context),
            Place(where="command line: --phase", value=context.phase),
        )


@check("PHASE_WEIGHTS", needs="contract")
def weights(context: CheckContext) -> Iterator[Violation]:
    uri = given(context, URI)
    if context.settings_phase in FROM_S3 and URI not in context.secrets and not uri.startswith("s3://"):
        value = "not set" if not uri else shown(uri)
        yield fail(
            f"{URI} is {value}, but phase {context.settings_phase} loads weights from s3://bucket/prefix.",
            f"Set weights.uri in trail.yaml, or {URI} here.",
            context.in_container(f"environment {URI}", uri or None),
            phase_place(context),
        )


@check("PHASE_PIN", needs="contract")
def pin(context: CheckContext) -> Iterator[Violation]:
    if context.settings_phase in FROM_S3 and not given(context, PIN):
        yield fail(
            f"{PIN} is not set, but phase {context.settings_phase} pins its weights by the sha256 of their manifest.",
            f"Set weights.sha256 in trail.yaml, or {PIN} here.",
            context.in_container(f"environment {PIN}", None),
            phase_place(context),
        )


@check("PHASE_KEYS", needs="contract")
def keys(context: CheckContext) -> Iterator[Violation]:
    if context.settings_phase == "full" and not given(context, KEYS):
        yield fail(
            f"{KEYS} is not set, but phase full demands API keys, from a secret.",
            f"Create a key with `make key`, store its entry in Secrets Manager, and name the ARN as {KEYS} in secrets.",
            context.in_container(f"secrets {KEYS}", None),
            phase_place(context),
        )


@check("MODEL_REQUIRED", needs="contract")
def required(context: CheckContext) -> Iterator[Violation]:
    text = context.environment.get(REQUIRE, "")
    if context.settings_phase == "simple" and text.lower() in TRUE:
        yield fail(
            f"{REQUIRE} is {shown(text)}, but phase simple has no model: every photo would get a 503.",
            f"Remove {REQUIRE}, or roll out phase hybrid.",
            context.in_container(f"environment {REQUIRE}", text),
            phase_place(context),
        )


@check("WEIGHTS_IGNORED", needs="contract")
def ignored(context: CheckContext) -> Iterator[Violation]:
    if context.settings_phase == "simple" and (uri := given(context, URI)):
        yield warn(
            f"{URI} is {shown(uri)}, but phase simple loads no weights.",
            f"Remove {URI} from this phase.",
            context.in_container(f"environment {URI}", uri),
            phase_place(context),
        )
