"""Gates about what the service answers: health, version, the calling page, and the findings on the probe photo."""

from typing import Any

from bentos.skin.settings import DRILL, DRILL_HEADER
from deploy.config.plan import PlanError
from deploy.gates import golden
from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import ANALYZE, Observation
from deploy.gates.replies import content, error_of, refusal
from deploy.gates.target import LiveTarget
from deploy.text import printable

DRILLED = {"source": "heuristic", "degraded": True, "reason": "model_disabled"}  # of an answer without the model


def health(live: LiveTarget, seen: Observation) -> GateOutcome:
    """The health path answers 200, in the wanted phase."""
    return _in_phase(live, seen.health.get("phase"), f"GET {live.contract['health']['path']}")


def version(live: LiveTarget, seen: Observation) -> GateOutcome:
    """/version names our service, the wanted phase, and the commit that the image is of."""
    told = seen.version
    value = {name: told.get(name) for name in ("service", "phase", "revision")}
    limit = {"service": live.contract["service"], "phase": live.phase, "revision": live.revision}
    wrong = {name: value[name] for name in ("service", "phase") if value[name] != limit[name]}
    if live.revision is not None and value["revision"] is not None and value["revision"] != live.revision:
        wrong["revision"] = value["revision"]
    if wrong:
        said = ", ".join(f"{name} {printable(str(one), 60)} and not {limit[name]}" for name, one in wrong.items())
        return failed(f"GET /version tells {said}: another image or an old task answers.", value, limit)
    known = live.revision is not None and value["revision"] is not None
    revision = f" of commit {value['revision']}" if known else "; which commit it is of is not told"
    return passed(f"{value['service']} in phase {live.phase} answers{revision}.", value, limit)


def _in_phase(live: LiveTarget, told: Any, what: str) -> GateOutcome:
    if told != live.phase:
        return failed(f"{what} tells phase {printable(str(told), 40)}, not {live.phase}.", told, live.phase)
    return passed(f"{what} answers 200 in phase {live.phase}.", told, live.phase)


def cors(live: LiveTarget, seen: Observation) -> GateOutcome:
    """A browser lets the front end's page call the service: its preflight, and the answer to a real call."""
    origin = live.plan.front_end
    asked = seen.preflight
    value = {"preflight": asked.headers.get("access-control-allow-origin"), "answer": None}
    limit = dict.fromkeys(value, origin)
    methods, allowed = (
        {one.strip().lower() for one in asked.headers.get(f"access-control-allow-{kind}", "").split(",")}
        for kind in ("methods", "headers")
    )
    if not asked.is_success or value["preflight"] != origin:
        return failed(
            f"A browser's preflight from {origin} is answered {asked.status_code} with allow-origin "
            f"{value['preflight']}: the page cannot call the service. SHINE_CORS_ORIGINS must name that origin.",
            value,
            limit,
        )
    if "post" not in methods or "x-api-key" not in allowed:
        return failed(
            f"A preflight from {origin} is not allowed to POST with an API key: something between the browser and the "
            "service answers it.",
            value,
            limit,
        )
    value["answer"] = seen.probe_response.headers.get("access-control-allow-origin")
    if value["answer"] != origin:
        return failed(
            f"The preflight is right, but an answer of {seen.probe_response.status_code} to {origin} carries "
            f"allow-origin {value['answer']}: the page may not read it.",
            value,
            limit,
        )
    return passed(f"Pages from {origin} may call the service and read its answers.", value, limit)


def analysis(live: LiveTarget, seen: Observation) -> GateOutcome:
    """The probe photo is answered with the findings that are known of it; in phase full by the model."""
    found = content(seen.probe_response, f"POST {ANALYZE}")
    source = golden.source_of(found)
    if live.phase == "full" and source == golden.HEURISTIC:
        return failed("The heuristics answered a request that requires the model.", source, "model")
    try:
        wanted = golden.expected(source, live.limits.golden)
    except PlanError as error:
        return failed(str(error))
    if wanted is None:
        return failed(
            f"What the weights {source[:12]}… find on the probe photo is not known: run `trail golden URL FILE` "
            f"against a service with them, check what it writes, and name FILE as gates.golden of phase {live.phase}.",
            source,
        )
    got = golden.findings(found)
    value, limit = got.model_dump(mode="json"), wanted.model_dump(mode="json")
    who = "heuristics" if source == golden.HEURISTIC else f"model {source[:12]}…"
    if wrong := golden.differences(wanted, got):
        return failed(
            f"The findings on the probe photo ({who}) are not what is known: {'; '.join(wrong)}.", value, limit
        )
    return passed(f"The findings on the probe photo ({who}) are what is known of it.", value, limit)


def degradation(_: LiveTarget, seen: Observation) -> GateOutcome:
    """A photo is answered and marked while the model is absent; the drill header makes it so for one request."""
    answer = seen.photo({DRILL_HEADER: DRILL})
    if _refuses_fallbacks(seen) and answer.status_code == 503 and error_of(answer)[0] == "model_unavailable":
        return passed("Without the model a photo is refused, as SHINE_REQUIRE_MODEL wants it.", 503, 503)
    if answer.status_code != 200:
        return failed(f"Without the model a photo is answered {refusal(answer)}.", answer.status_code, 200)
    body, mark = content(answer, f"POST {ANALYZE}"), answer.headers.get("x-degraded")
    value = {**{name: body.get(name) for name in DRILLED}, "x-degraded": mark}
    limit = {**DRILLED, "x-degraded": "true"}
    if wrong := [f"{name} is {printable(str(value[name]), 40)}" for name in limit if value[name] != limit[name]]:
        return failed(
            f"Without the model a photo is answered, but not marked as it should: {', '.join(wrong)}.", value, limit
        )
    return passed("Without the model a photo is answered by the heuristics, and marked.", value, limit)


def _refuses_fallbacks(seen: Observation) -> bool:
    return dict(seen.status.get("policy") or {}).get("require_model") is True
