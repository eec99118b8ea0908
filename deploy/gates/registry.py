"""All gates, in the order in which they are asked; each phase asks those of the phases before it too."""

from bentos.skin.settings import Phase
from deploy.gates import answers, model, platform, tasks, traffic
from deploy.gates.gate import Gate

GATES: tuple[Gate, ...] = (
    Gate("tasks_running", "Tasks run", tasks.tasks_running),
    Gate("digest", "The wanted image runs", tasks.digest),
    Gate("targets_healthy", "Targets are healthy", tasks.targets_healthy),
    Gate("health", "Health", answers.health),
    Gate("version", "Version", answers.version),
    Gate("cors", "The front end may call", answers.cors),
    Gate("analysis", "The probe photo's findings are right", answers.analysis),
    Gate("errors", "Few requests fail", traffic.errors, again=False),
    Gate("latency", "Answers come in time", traffic.latency, again=False),
    Gate("stable", "Stable", tasks.stable, since="hybrid"),
    Gate("model_state", "The model's state is told", model.model_state, since="hybrid"),
    Gate("metrics", "Metrics are there", model.metrics, since="hybrid", kind="once"),
    Gate("degradation", "Degradation is proven", answers.degradation, since="hybrid", kind="once"),
    Gate("model_from_s3", "The pinned model is loaded", model.model_from_s3, since="foundation"),
    Gate("cached", "Weights are fetched once", model.cached, since="foundation", kind="once"),
    Gate("logs", "Logs arrive", platform.logs, since="foundation", kind="once"),
    Gate("model_answers", "The model answers", traffic.model_answers, since="full", again=False),
    Gate("ready", "Every task is ready", tasks.ready, since="full"),
    Gate("alarms", "Alarms are quiet", platform.alarms, since="full"),
    Gate("autoscaling", "It scales", platform.autoscaling, since="full", kind="once"),
    Gate("https", "HTTPS only", platform.https, since="full", kind="once"),
    Gate("keys", "Keys are enforced", platform.keys, since="full", kind="once"),
    Gate("secrets", "Secrets are not in plain", platform.secrets, since="full", kind="once"),
    Gate("load", "Load test", traffic.load, since="full", kind="once", last=True, again=False),
)


def of(phase: Phase) -> list[Gate]:
    """Those that a phase asks."""
    return [one for one in GATES if one.is_of(phase)]


def names(phase: Phase) -> list[str]:
    """Their names."""
    return [one.name for one in of(phase)]
