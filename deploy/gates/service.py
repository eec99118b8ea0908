"""Gates on the service's responses: health, version, CORS, and the findings on the probe photo."""

from bentos.skin.settings import DRILL, DRILL_HEADER
from deploy.config.plan import PlanError
from deploy.gates import golden
from deploy.gates.gate import GateOutcome, failed, passed
from deploy.gates.observation import ANALYZE, Observation
from deploy.gates.responses import describe_error, error_of, json_object
from deploy.gates.target import LiveTarget
from deploy.text import printable

WITHOUT_MODEL = {"source": "heuristic", "degraded": True, "reason": "model_disabled"}  # fields of such a response


def health(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The health path answers 200, in the right phase."""
    phase, request = observation.health.get("phase"), f"GET {live.contract['health']['path']}"
    if phase != live.phase:
        return failed(f"{request} reports phase {printable(str(phase), 40)}, not {live.phase}.", phase, live.phase)
    return passed(f"{request} answers 200 in phase {live.phase}.", phase, live.phase)


def version(live: LiveTarget, observation: Observation) -> GateOutcome:
    """/version names our service, the right phase, and the commit of the image."""
    version = observation.version
    value = {name: version.get(name) for name in ("service", "phase", "revision")}
    limit = {"service": live.contract["service"], "phase": live.phase, "revision": live.revision}
    wrong = {name: value[name] for name in ("service", "phase") if value[name] != limit[name]}
    if live.revision is not None and value["revision"] is not None and value["revision"] != live.revision:
        wrong["revision"] = value["revision"]
    if wrong:
        fields = ", ".join(f"{name} {printable(str(item), 60)}, not {limit[name]}" for name, item in wrong.items())
        return failed(f"GET /version reports {fields}: another image or an old task answers.", value, limit)
    known = live.revision is not None and value["revision"] is not None
    commit = f", commit {value['revision']}" if known else "; its commit is not known"
    return passed(f"GET /version reports {value['service']}, phase {live.phase}{commit}.", value, limit)


def cors(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The front end's page may call the service: the CORS preflight allows it, and so does the response to a photo."""
    origin = live.plan.front_end
    preflight = observation.preflight
    value = {"preflight": preflight.headers.get("access-control-allow-origin"), "answer": None}
    limit = dict.fromkeys(value, origin)
    methods, allowed = (
        {item.strip().lower() for item in preflight.headers.get(f"access-control-allow-{kind}", "").split(",")}
        for kind in ("methods", "headers")
    )
    if not preflight.is_success or value["preflight"] != origin:
        return failed(
            f"A CORS preflight from {origin} answers {preflight.status_code} with allow-origin {value['preflight']}: "
            "the page cannot call the service. SHINE_CORS_ORIGINS must contain that origin.",
            value,
            limit,
        )
    if "post" not in methods or "x-api-key" not in allowed:
        return failed(
            f"A CORS preflight from {origin} does not allow POST with an API key: something between the browser and "
            "the service answers it.",
            value,
            limit,
        )
    value["answer"] = observation.probe_response.headers.get("access-control-allow-origin")
    if value["answer"] != origin:
        return failed(
            f"The CORS preflight is right, but a response with status {observation.probe_response.status_code} to "
            f"{origin} has allow-origin {value['answer']}: the page cannot read it.",
            value,
            limit,
        )
    return passed(f"Pages from {origin} can call the service and read its responses.", value, limit)


def analysis(live: LiveTarget, observation: Observation) -> GateOutcome:
    """The findings on the probe photo are the expected ones; in phase full the model must make them."""
    content = json_object(observation.probe_response, f"POST {ANALYZE}")
    source = golden.source_of(content)
    if live.phase == "full" and source == golden.HEURISTIC:
        return failed("The heuristics answered a request that requires the model.", source, "model")
    try:
        expected = golden.expected(source, live.limits.golden)
    except PlanError as error:
        return failed(str(error))
    if expected is None:
        return failed(
            f"The expected findings of the weights {source[:12]}… on the probe photo are not known: run "
            "`trail golden URL FILE` against a service with these weights, check FILE, and name it in the "
            f"plan as gates.golden of phase {live.phase}.",
            source,
        )
    findings = golden.findings(content)
    value, limit = findings.model_dump(mode="json"), expected.model_dump(mode="json")
    who = "heuristics" if source == golden.HEURISTIC else f"model {source[:12]}…"
    if wrong := golden.differences(expected, findings):
        return failed(f"The findings on the probe photo ({who}) are not as expected: {'; '.join(wrong)}.", value, limit)
    return passed(f"The findings on the probe photo ({who}) are as expected.", value, limit)


def degradation(_: LiveTarget, observation: Observation) -> GateOutcome:
    """Without the model a photo is analysed and marked as degraded; a header disables the model for one request."""
    response = observation.photo({DRILL_HEADER: DRILL})
    if _requires_model(observation) and response.status_code == 503 and error_of(response)[0] == "model_unavailable":
        return passed("Without the model a photo is refused, as SHINE_REQUIRE_MODEL requires.", 503, 503)
    if response.status_code != 200:
        sentence = f"Without the model POST {ANALYZE} answers {describe_error(response)}."
        return failed(sentence, response.status_code, 200)
    body, mark = json_object(response, f"POST {ANALYZE}"), response.headers.get("x-degraded")
    value = {**{name: body.get(name) for name in WITHOUT_MODEL}, "x-degraded": mark}
    limit = {**WITHOUT_MODEL, "x-degraded": "true"}
    if wrong := [f"{name} is {printable(str(value[name]), 40)}" for name in limit if value[name] != limit[name]]:
        return failed(
            f"Without the model a photo is analysed, but not marked as it should be: {', '.join(wrong)}.", value, limit
        )
    return passed("Without the model the heuristics analyse a photo, and the response says so.", value, limit)


def _requires_model(observation: Observation) -> bool:
    return dict(observation.status.get("policy") or {}).get("require_model") is True
