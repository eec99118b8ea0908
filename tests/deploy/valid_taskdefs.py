"""Right task definitions, of which no check finds fault."""

from typing import Any

from tests.deploy.good import GONE
from tests.deploy.invalid_taskdefs import CLIENT, HERE, STORED, Wrong, shell, urlopen


def right(changes: dict[str, Any], **more: Any) -> Wrong:
    """A row without a code."""
    return Wrong("", changes, **more)


PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/shine/keys"
SIDECAR = {"name": "collector", "image": "collector@sha256:" + "0" * 64, "essential": False}

RIGHT = {
    "phase simple": right({}, phase="simple"),
    "phase hybrid": right({}),
    "phase foundation": right({}, phase="foundation"),
    "phase full": right({}, phase="full"),
    "no phase named, which means hybrid": right({"env.SHINE_PHASE": GONE}),
    "lowest numbers of the health check": right({
        "c.healthCheck.interval": 5, "c.healthCheck.timeout": 5, "c.healthCheck.retries": 1,
        "c.healthCheck.startPeriod": 5,
    }),
    "highest numbers of the health check": right({
        "c.healthCheck.interval": 300, "c.healthCheck.timeout": 60, "c.healthCheck.retries": 10,
        "c.healthCheck.startPeriod": 300,
    }),
    "a health command in shell": right(shell(f"python -c 'import check; check.it(\"{HERE}/health\")' || exit 1")),
    "a health command in sh -c": right({
        "c.healthCheck.command": ["CMD", "sh", "-c", f"python3 - '{HERE}/health' >/dev/null 2>&1"],
    }),
    "a health command on localhost": right(urlopen("http://localhost:5000/health")),
    "a health command on BentoML's own path": right(urlopen(f"{HERE}/livez")),
    "a health command of http.client": right({
        "c.healthCheck.command": ["CMD", "python", "-c", f"{CLIENT}('127.0.0.1', 5000); c.request('GET', '/health')"],
    }),
    "a health command of http.client in one string": right({
        "c.healthCheck.command": ["CMD", "python", "-c", f"{CLIENT}('localhost:5000'); c.request('GET', '/health')"],
    }),
    "a health command that only connects": right({
        "c.healthCheck.command": ["CMD", "python", "-c", "import socket; socket.socket().connect(('127.0.0.1', 5000))"],
    }),
    "a health command that takes PORT or a default": right(shell("python check.py http://localhost:${PORT:-5000}/health")),
    "a health command that takes PORT": right({
        "env.PORT": "8080", "c.portMappings.0.containerPort": 8080, **shell("python check.py http://127.0.0.1:${PORT}/health"),
    }),
    "another port, everywhere": right({
        "env.PORT": "8080", "c.portMappings.0.containerPort": 8080, **urlopen("http://127.0.0.1:8080/health"),
    }),
    "another port of the image": right(
        {"c.portMappings.0.containerPort": 9000, **urlopen("http://127.0.0.1:9000/health")}, contract={"port": 9000}
    ),
    "the same host port": right({"c.portMappings.0.hostPort": 5000}),
    "no protocol named": right({"c.portMappings.0.protocol": GONE}),
    "a second port": right({"c.portMappings.1": {"containerPort": 9090}}),
    "sizes in words": right({"cpu": "1 vCPU", "memory": "2 GB"}),
    "the least size": right({"cpu": "256", "memory": "2048"}),
    "the largest size": right({"cpu": "16384", "memory": "122880"}),
    "ARM, and an image for it": right({"runtimePlatform.cpuArchitecture": "ARM64"}, contract={"architecture": "arm64"}),
    "no platform named, which means X86_64": right({"runtimePlatform": GONE}),
    "a limit of the container at the minimum": right({"c.memory": 1472}),
    "a reservation below the limit": right({"c.memory": 2048, "c.memoryReservation": 1024}),
    "the longest stop": right({"c.stopTimeout": 120}),
    "the default stop, which is above what the image takes": right({"c.stopTimeout": GONE}),
    "more disk": right({"ephemeralStorage.sizeInGiB": 21}),
    "the most disk": right({"ephemeralStorage.sizeInGiB": 200}),
    "a sidecar": right({"containerDefinitions.1": SIDECAR}),
    "a sidecar that is waited for": right({
        "containerDefinitions.1": SIDECAR, "c.dependsOn": [{"containerName": "collector", "condition": "START"}],
    }),
    "a secret as a whole": right({"secret.SHINE_API_KEYS": STORED}, phase="full"),
    "a parameter as a secret": right({"secret.SHINE_API_KEYS": PARAMETER}, phase="full"),
    "a parameter by its name": right({"secret.SHINE_API_KEYS": "/shine/keys"}, phase="full"),
    "keys in an earlier phase": right({"secret.SHINE_API_KEYS": STORED, "env.SHINE_RATE_PER_MINUTE": "60"}),
    "variables of others": right({"env.TZ": "UTC", "env.OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}),
    "a variable that Kubernetes injects": right({"env.SHINE_GATEWAY_SERVICE_HOST": "10.0.0.1"}),
    "settings at their limits": right({
        "env.SHINE_MAX_BATCH_SIZE": "64", "env.SHINE_MAX_BODY_MIB": "1024", "env.SHINE_THREADS": "0",
    }),
    "empty settings, which mean not set": right({"env.SHINE_CACHE_DIR": "", "env.SHINE_WEIGHTS_SHA256": ""}),
    "a cache folder within /tmp": right({"env.SHINE_CACHE_DIR": "/tmp/cache/shine"}),
    "a cache folder on a volume of its own": right({
        "env.SHINE_CACHE_DIR": "/cache", "volumes.1": {"name": "cache"},
        "c.mountPoints.1": {"sourceVolume": "cache", "containerPath": "/cache"},
    }),
    "the model demanded where it is on": right({"env.SHINE_REQUIRE_MODEL": "true"}),
    "roles by their names": right({"executionRoleArn": "shine-execution", "taskRoleArn": "shine-task"}),
    "no task role where nothing is asked of AWS": right({"taskRoleArn": GONE}, phase="simple"),
    "the image's own user": right({"c.user": GONE}),
    "the image's own command": right({"c.command": ["serve"]}),
    "a tag beside the digest": right({"c.image": "shine:1.0.0@sha256:" + "0" * 64}),
    "FireLens": right({"c.logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "cloudwatch"}}}),
    "tags": right({"tags": [{"key": "team", "value": "skin"}]}),
    "SYS_PTRACE, which Fargate lets": right({"c.linuxParameters.capabilities.add": ["SYS_PTRACE"]}),
}  # fmt: skip
