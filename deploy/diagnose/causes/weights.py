"""The service runs, but its model does not: the log of weights and runners says why."""

import re
from collections.abc import Callable

from deploy.diagnose.cause import Cause, CauseMatch, Matcher, Weight, matched
from deploy.diagnose.causes.health import health_failures
from deploy.diagnose.evidence import Evidence
from deploy.diagnose.quotes import json_fields, log_lines, safe

LOADED = "weights are in service"
FAILED = "weights cannot be loaded"
POISONED = "the model's answers are poisoned"
RUNNER_ENDS = ("a worker ended by itself", "this runner ends, to be started anew")
LOAD_ENDS = (LOADED, FAILED, POISONED)  # the last line about an attempt to load
PIN = re.compile(r"not the pin's|the pin is|pinned version")
REFUSED = re.compile(r"S3 refuses|AccessDenied|allow (?P<action>s3:\w+) on (?P<where>\S+)")
CODES = ("weights_missing", "weights_unreachable", "weights_corrupt", "weights_incompatible", "self_test_failed")
MIN_RUNNER_ENDS = 3  # in one log; fewer may be chance


def load_failed(
    reason: str | None,
    sentence: str | Callable[[Evidence], str],
    detail: re.Pattern[str] | None = None,
    excluding: re.Pattern[str] | None = None,
) -> Matcher:
    """Build the `match` of a cause for which a task's weights could not be loaded, and have not been loaded since.

    Args:
        reason: code in the log line; None: any.
        sentence: for people; the detail of the log line follows it.
        detail: words that the log line's detail must have.
        excluding: words that it must not have.
    """

    def fits(code: str, text: str) -> bool:
        stated = (reason is None or code == reason) and (detail is None or detail.search(text) is not None)
        return stated and (excluding is None or excluding.search(text) is None)

    def match(evidence: Evidence) -> CauseMatch | None:
        failures = []
        for task in [*evidence.running, *evidence.failed]:
            ends = (quote for quote in log_lines(evidence, [task]) if any(words in quote.text for words in LOAD_ENDS))
            last = next(ends, None)
            if last is None or LOADED in last.text:
                continue
            code, text = _reason(last.text)
            if fits(code, text):
                failures.append((last, text))
        if not failures:
            return None
        # A missing model neither ends a container nor makes it unhealthy.
        weight = Weight.SYMPTOM - 0.05 if evidence.failed or health_failures(evidence) else None
        text = sentence if isinstance(sentence, str) else sentence(evidence)
        text = f"{text} {safe(failures[0][1], 300).rstrip('.')}."
        return matched(text, [quote for quote, _ in failures], weight=weight)

    return match


def _reason(line: str) -> tuple[str, str]:
    """Reason code and detail of a log line in JSON or in text."""
    default = "self_test_failed" if POISONED in line else ""
    if fields := json_fields(line):
        return str(fields.get("reason") or default), str(fields.get("cause", ""))
    code = next((code for code in CODES if code in line), default)
    return code, line.partition("cause=")[2].partition(" next_retry_s=")[0] or line


def _denied(evidence: Evidence) -> str:
    role = evidence.definition.task_role if evidence.definition else ""
    return f"The task role{f' {safe(role, 120)}' if role else ''} may not read the weights in S3."


def runner_dies(evidence: Evidence) -> CauseMatch | None:
    """Runners ended by themselves or hung several times."""
    log = log_lines(evidence, [*evidence.running, *evidence.failed])
    quotes = [quote for quote in log if any(words in quote.text for words in RUNNER_ENDS)]
    if len(quotes) < MIN_RUNNER_ENDS:
        return None
    worker = str(json_fields(quotes[0].text).get("worker") or "A runner")
    return matched(f"{safe(worker, 40)} ended by itself or hung {len(quotes)} times in the last log lines.", quotes)


CAUSES = (
    Cause(
        "WEIGHTS_DENIED",
        "The task role may not read the weights",
        looks="`S3 refuses (AccessDenied): allow s3:GetObject on …` in the log; the service answers with heuristics.",
        repair="Allow the task role (not the execution role) s3:GetObject on the weights' prefix and s3:ListBucket on "
        "the bucket, and kms:Decrypt if the bucket has its own key.",
        weight=Weight.TWO_FACTS,
        aside=True,
        deterministic=True,
        match=load_failed(None, _denied, detail=REFUSED),
    ),
    Cause(
        "WEIGHTS_PIN",
        "The weights are not the pinned ones",
        looks="`weights_corrupt`, `The manifest in … has sha256 …, not the pin's`; or `weights_missing`, `The pinned "
        "version … is not in …`.",
        repair="Correct weights.sha256 in the plan (`sha256sum manifest.json`), or publish that version again.",
        weight=Weight.TWO_FACTS,
        aside=True,
        deterministic=True,
        match=load_failed(None, "The weights found are not the pinned ones.", detail=PIN),
    ),
    Cause(
        "WEIGHTS_MISSING",
        "The weights do not exist",
        looks="`weights_missing` in the log; the service answers with heuristics.",
        repair="Correct weights.uri in the plan, or publish the bundle (manifest.json last).",
        weight=Weight.TWO_FACTS,
        aside=True,
        deterministic=True,
        match=load_failed("weights_missing", "There are no weights.", excluding=PIN),
    ),
    Cause(
        "WEIGHTS_UNREACHABLE",
        "The weights cannot be fetched",
        looks="`weights_unreachable` in the log without a refusal; the service uses heuristics and tries again.",
        repair="Give the tasks a route to S3: the gateway endpoint in their route table, or NAT; and allow their "
        "security group egress on port 443. If the cache cannot be written, mount a volume on it.",
        weight=Weight.TWO_FACTS,
        aside=True,
        match=load_failed("weights_unreachable", "The weights cannot be fetched.", excluding=REFUSED),
    ),
    Cause(
        "WEIGHTS_CORRUPT",
        "The weights are corrupt",
        looks="`weights_corrupt` in the log: a file does not match the manifest.",
        repair="Publish the whole bundle again in a new folder, and pin its manifest.",
        weight=Weight.TWO_FACTS,
        aside=True,
        deterministic=True,
        match=load_failed("weights_corrupt", "The weights are corrupt.", excluding=PIN),
    ),
    Cause(
        "WEIGHTS_INCOMPATIBLE",
        "The weights do not fit this image",
        looks="`weights_incompatible` in the log.",
        repair="Pin weights of the format that this image reads, or roll out the image that belongs to them.",
        weight=Weight.TWO_FACTS,
        aside=True,
        deterministic=True,
        match=load_failed("weights_incompatible", "This image cannot run these weights."),
    ),
    Cause(
        "SELF_TEST_FAILED",
        "The model fails its self-test",
        looks="`self_test_failed` in the log: the network's output differs from the recorded output.",
        repair="Pin the previous version; the weights or the CPU differ from where the output was recorded.",
        weight=Weight.TWO_FACTS,
        aside=True,
        deterministic=True,
        match=load_failed("self_test_failed", "The model's output differs from the recorded output."),
    ),
    Cause(
        "RUNNER_DIES",
        "A runner ends again and again",
        looks="`a worker ended by itself and is started anew` in the log, several times; or `this runner ends`.",
        repair="Nearly always memory within the task: raise size.memory. If it hung: too little CPU, or memory again.",
        weight=Weight.SYMPTOM + 0.1,
        aside=True,
        match=runner_dies,
    ),
)
