"""Does the phase have what it needs."""

from collections.abc import Iterator

from deploy.findings.catalog import Violation, check, fail, warn
from deploy.findings.finding import Place
from deploy.text import shown
from deploy.verify.context import CheckContext

URI, PIN, KEYS, REQUIRE = "SHINE_WEIGHTS_URI", "SHINE_WEIGHTS_SHA256", "SHINE_API_KEYS", "SHINE_REQUIRE_MODEL"
FROM_S3 = ("foundation", "full")  # phases whose weights come from S3, pinned
TRUE = ("true", "1", "yes", "on", "t", "y")


def given(case: CheckContext, name: str) -> str:
    """A setting's value, or where its secret lies."""
    return case.environment.get(name, "").strip() or case.secrets.get(name, "")


def phase_place(case: CheckContext) -> Place:
    """Where the phase stands."""
    return case.inside("environment SHINE_PHASE", case.meant_phase)


@check(
    "PHASE",
    "The task definition is of the phase that is meant",
    why="One image climbs four phases; SHINE_PHASE alone says on which it is.",
)
def meant(case: CheckContext) -> Iterator[Violation]:
    if case.phase is not None and case.meant_phase != case.phase:
        yield fail(
            f"SHINE_PHASE is {shown(case.meant_phase)}, and the phase that is meant is {shown(case.phase)}.",
            f"Set SHINE_PHASE to {case.phase}.",
            phase_place(case),
            Place(where="command line: --phase", value=case.phase),
        )


@check(
    "PHASE_WEIGHTS",
    "From foundation on the weights come from S3",
    why="In foundation and full the gates demand weights from S3, so that they can change without a new image.",
)
def weights(case: CheckContext) -> Iterator[Violation]:
    uri = given(case, URI)
    if case.meant_phase in FROM_S3 and URI not in case.secrets and not uri.startswith("s3://"):
        said = "not set" if not uri else shown(uri)
        yield fail(
            f"{URI} is {said}, and phase {case.meant_phase} takes weights from s3://bucket/prefix.",
            f"Set weights.uri in trail.yaml, or {URI} here.",
            case.inside(f"environment {URI}", uri or None),
            phase_place(case),
        )


@check(
    "PHASE_PIN",
    "From foundation on the weights are pinned by their checksum",
    why="With a pin, changing the weights is a deployment that can be rolled back. Without, whoever may write to the "
    "bucket changes what runs.",
)
def pin(case: CheckContext) -> Iterator[Violation]:
    if case.meant_phase in FROM_S3 and not given(case, PIN):
        yield fail(
            f"{PIN} is not set, and phase {case.meant_phase} pins its weights by the sha256 of their manifest.",
            f"Set weights.sha256 in trail.yaml, or {PIN} here.",
            case.inside(f"environment {PIN}", None),
            phase_place(case),
        )


@check(
    "PHASE_KEYS",
    "In phase full callers need an API key",
    why="The last phase is open to the world; without keys the service answers everybody who reaches it.",
)
def keys(case: CheckContext) -> Iterator[Violation]:
    if case.meant_phase == "full" and not given(case, KEYS):
        yield fail(
            f"{KEYS} is not set, and phase full wants API keys, out of a secret.",
            f"Make one with `make key`, store its entry in Secrets Manager and name the ARN as {KEYS} in secrets.",
            case.inside(f"secrets {KEYS}", None),
            phase_place(case),
        )


@check(
    "MODEL_REQUIRED",
    "The model is not demanded where it is switched off",
    why="In phase simple there is no model, so with SHINE_REQUIRE_MODEL each photo is answered with 503.",
)
def required(case: CheckContext) -> Iterator[Violation]:
    text = case.environment.get(REQUIRE, "")
    if case.meant_phase == "simple" and text.lower() in TRUE:
        yield fail(
            f"{REQUIRE} is {shown(text)}, and phase simple has no model: every photo would be answered with 503.",
            f"Take {REQUIRE} out, or go on to phase hybrid.",
            case.inside(f"environment {REQUIRE}", text),
            phase_place(case),
        )


@check(
    "WEIGHTS_IGNORED",
    "Weights are named only where they are looked for",
    why="In phase simple no weights are looked for, so a place and a pin for them say something that is not so.",
)
def ignored(case: CheckContext) -> Iterator[Violation]:
    if case.meant_phase == "simple" and (uri := given(case, URI)):
        yield warn(
            f"{URI} is {shown(uri)}, and phase simple looks for no weights.",
            f"Take {URI} out of this phase.",
            case.inside(f"environment {URI}", uri),
            phase_place(case),
        )
