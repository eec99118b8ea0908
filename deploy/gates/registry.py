"""All gates, in the order in which they are checked; each phase also checks those of the phases before it."""

from bentos.skin.settings import Phase
from deploy.gates import model, platform, service, tasks, traffic
from deploy.gates.gate import Gate

GATES: tuple[Gate, ...] = (
    Gate("tasks_running", "Tasks run", tasks.tasks_running),
    Gate("digest", "The right image runs", tasks.digest),
    Gate("targets_healthy", "Targets are healthy", tasks.targets_healthy),
    Gate("health", "Health", service.health),
    Gate("version", "Version", service.version),
    Gate("cors", "The front end may call", service.cors),
    Gate("analysis", "The probe photo's findings are right", service.analysis),
    Gate("errors", "Few requests fail", traffic.errors, again=False),
    Gate("latency", "Latency is within the limit", traffic.latency, again=False),
    Gate("stable", "Stable", tasks.stable, since="hybrid"),
    Gate("model_state", "The model reports its state", model.model_state, since="hybrid"),
    Gate("metrics", "Metrics exist", model.metrics, since="hybrid", kind="once"),
    Gate("degradation", "Degradation works", service.degradation, since="hybrid", kind="once"),
    Gate("model_from_s3", "The pinned model is loaded", model.model_from_s3, since="foundation"),
    Gate("cached", "Weights are fetched once", model.cached, since="foundation", kind="once"),
    Gate("logs", "Logs arrive", platform.logs, since="foundation", kind="once"),
    Gate("model_answers", "The model answers", traffic.model_answers, since="full", again=False),
    Gate("ready", "Every task is ready", tasks.ready, since="full"),
    Gate("alarms", "No alarm is in ALARM", platform.alarms, since="full"),
    Gate("autoscaling", "Autoscaling is enabled", platform.autoscaling, since="full", kind="once"),
    Gate("https", "HTTPS only", platform.https, since="full", kind="once"),
    Gate("keys", "API keys are enforced", platform.keys, since="full", kind="once"),
    Gate("secrets", "No secret is in plain text", platform.secrets, since="full", kind="once"),
    Gate("load", "Load test", traffic.load, since="full", kind="once", last=True, again=False),
)


def gates_of(phase: Phase) -> list[Gate]:
    """The gates that a phase checks."""
    return [gate for gate in GATES if gate.belongs_to(phase)]


def names(phase: Phase) -> list[str]:
    """The names of the gates that a phase checks."""
    return [gate.name for gate in gates_of(phase)]
