"""The service runs, and its model does not: what its log says of weights and runners."""

import re
from collections.abc import Callable

from deploy.diagnose.causes.health import signs
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import Quote, as_json, lines, shown
from deploy.diagnose.registry import SEEN, SYMPTOM, CauseMatch, cause, sign

LOADED = "weights are in service"
FAILING = "weights cannot be loaded"
POISONED = "the model's answers are poisoned"
DIED = "a worker ended by itself"
HUNG = "this runner ends, to be started anew"
PIN = re.compile(r"not the pin's|the pin is|pinned version")
REFUSED = re.compile(r"S3 refuses|AccessDenied|allow (?P<action>s3:\w+) on (?P<where>\S+)")
ENDS = (LOADED, FAILING, POISONED)  # of an attempt
CODES = ("weights_missing", "weights_unreachable", "weights_corrupt", "weights_incompatible", "self_test_failed")
FEW = 3  # ends of a runner in one log that are a habit


def trouble(seen: Evidence, is_it: Callable[[str, str], bool], sentence: str) -> CauseMatch | None:
    """A failing load that nothing has cured since, as the newest word of a task on its weights.

    Args:
        seen: its logs.
        is_it: of reason and cause, whether they are the cause in question.
        sentence: for people; the service's own follows it.
    """
    found: list[tuple[Quote, str]] = []
    for task in [*seen.running, *seen.failed]:
        last = next((one for one in lines(seen, [task]) if any(word in one.text for word in ENDS)), None)
        if last is None or LOADED in last.text:
            continue
        reason, why = _why(last.text)
        if is_it(reason, why):
            found.append((last, why))
    if not found:
        return None
    # A model that is missing ends no container, and makes none unhealthy.
    weight = SYMPTOM - 0.05 if seen.failed or signs(seen) else None
    return sign(f"{sentence} {shown(found[0][1], 300).rstrip('.')}.", [quote for quote, _ in found], weight=weight)


def _why(line: str) -> tuple[str, str]:
    """Reason code and cause, of a line in JSON or in text."""
    default = "self_test_failed" if POISONED in line else ""
    if fields := as_json(line):
        return str(fields.get("reason") or default), str(fields.get("cause", ""))
    reason = next((one for one in CODES if one in line), default)
    return reason, line.partition("cause=")[2].partition(" next_retry_s=")[0] or line


@cause(
    "WEIGHTS_DENIED",
    "The task role may not read the weights",
    looks="`weights_unreachable`, `S3 refuses (AccessDenied): allow s3:GetObject on …` in the log; the service "
    "answers with heuristics.",
    repair="Let the task role (not the execution role) s3:GetObject on the weights' prefix and s3:ListBucket on the "
    "bucket, and kms:Decrypt where the bucket has a key of its own.",
    weight=SEEN,
    aside=True,
    deterministic=True,
)
def denied(seen: Evidence) -> CauseMatch | None:
    role = f" {shown(seen.definition.task_role, 120)}" if seen.definition and seen.definition.task_role else ""
    return trouble(
        seen, lambda _, why: REFUSED.search(why) is not None, f"S3 refuses the weights to the task role{role}."
    )


@cause(
    "WEIGHTS_PIN",
    "The weights are not those that are pinned",
    looks="`weights_corrupt`, `The manifest in … has sha256 …, not the pin's`; or `weights_missing`, `The pinned "
    "version … is not in …`.",
    repair="Correct weights.sha256 in the plan (`sha256sum manifest.json`), or publish that version; one file changed "
    "in place changes it.",
    weight=SEEN,
    aside=True,
    deterministic=True,
)
def pin(seen: Evidence) -> CauseMatch | None:
    return trouble(
        seen, lambda _, why: PIN.search(why) is not None, "The weights that lie there are not the pinned ones."
    )


@cause(
    "WEIGHTS_MISSING",
    "There are no weights",
    looks="`weights_missing` in the log; the service answers with heuristics.",
    repair="Correct weights.uri in the plan, or publish the bundle (manifest.json last).",
    weight=SEEN,
    aside=True,
    deterministic=True,
)
def missing(seen: Evidence) -> CauseMatch | None:
    return trouble(
        seen, lambda reason, why: reason == "weights_missing" and not PIN.search(why), "No weights are found."
    )


@cause(
    "WEIGHTS_UNREACHABLE",
    "The weights cannot be fetched",
    looks="`weights_unreachable` in the log, without a refusal; the service answers with heuristics and tries again.",
    repair="Give the tasks a way to S3: the gateway endpoint on their route table, or NAT; and let their security "
    "group out on 443. Where the cache cannot be written, mount a volume on it.",
    weight=SEEN,
    aside=True,
)
def unreachable(seen: Evidence) -> CauseMatch | None:
    return trouble(
        seen,
        lambda reason, why: reason == "weights_unreachable" and not REFUSED.search(why),
        "Weights cannot be fetched.",
    )


@cause(
    "WEIGHTS_CORRUPT",
    "The weights are broken",
    looks="`weights_corrupt` in the log: a file is not what the manifest says.",
    repair="Publish the bundle again, whole, under a new folder, and pin its manifest.",
    weight=SEEN,
    aside=True,
    deterministic=True,
)
def corrupt(seen: Evidence) -> CauseMatch | None:
    return trouble(
        seen, lambda reason, why: reason == "weights_corrupt" and not PIN.search(why), "The weights are broken."
    )


@cause(
    "WEIGHTS_INCOMPATIBLE",
    "The weights are not for this image",
    looks="`weights_incompatible` in the log.",
    repair="Pin weights of the format that this image reads, or roll out the image that belongs to them.",
    weight=SEEN,
    aside=True,
    deterministic=True,
)
def incompatible(seen: Evidence) -> CauseMatch | None:
    return trouble(seen, lambda reason, _: reason == "weights_incompatible", "This image cannot run these weights.")


@cause(
    "SELF_TEST_FAILED",
    "The model fails its self-test",
    looks="`self_test_failed` in the log: the network answers otherwise than was recorded.",
    repair="Pin the version before; the weights or the CPU's arithmetic differ from where they were made.",
    weight=SEEN,
    aside=True,
    deterministic=True,
)
def self_test(seen: Evidence) -> CauseMatch | None:
    return trouble(
        seen, lambda reason, _: reason == "self_test_failed", "The model does not answer as was recorded of it."
    )


@cause(
    "RUNNER_DIES",
    "A runner ends again and again",
    looks="`a worker ended by itself and is started anew` in the log, several times; or `this runner ends`.",
    repair="Nearly always memory within the task: raise size.memory. One that hung: too little CPU, or memory again.",
    weight=SYMPTOM + 0.1,
    aside=True,
)
def runner(seen: Evidence) -> CauseMatch | None:
    tasks = [*seen.running, *seen.failed]
    quotes = [one for one in lines(seen, tasks) if any(word in one.text for word in (DIED, HUNG))]
    if len(quotes) < FEW:
        return None
    worker = str(as_json(quotes[0].text).get("worker") or "a runner")
    return sign(f"{shown(worker, 40)} has ended by itself or hung {len(quotes)} times in the last log lines.", quotes)
