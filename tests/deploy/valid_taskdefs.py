"""Valid task definitions, in which no check finds a fault."""

from typing import Any

from tests.deploy.good import GONE
from tests.deploy.invalid_taskdefs import (
    BUSYBOX,
    CHECKED,
    CLIENT,
    EFS,
    FROM_FILE,
    HERE,
    LOGGED,
    POINT,
    ROUTED,
    ROUTER,
    STORED,
    Invalid,
    helper,
    shell,
    urlopen,
    volume,
    waits,
)


def valid(changes: dict[str, Any], **more: Any) -> Invalid:
    """A row without a code."""
    return Invalid("", changes, **more)


PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/shine/keys"
SIDECAR = {"name": "collector", "image": "collector@sha256:" + "0" * 64, "essential": False}

VALID_TASKDEFS = {
    "phase simple": valid({}, phase="simple"),
    "phase hybrid": valid({}),
    "phase foundation": valid({}, phase="foundation"),
    "phase full": valid({}, phase="full"),
    "no phase named, which means hybrid": valid({"env.SHINE_PHASE": GONE}),
    "lowest numbers of the health check": valid({
        "c.healthCheck.interval": 5, "c.healthCheck.timeout": 5, "c.healthCheck.retries": 1,
        "c.healthCheck.startPeriod": 5,
    }),
    "highest numbers of the health check": valid({
        "c.healthCheck.interval": 300, "c.healthCheck.timeout": 60, "c.healthCheck.retries": 10,
        "c.healthCheck.startPeriod": 300,
    }),
    "a health command in shell": valid(shell(f"python -c 'import check; check.it(\"{HERE}/health\")' || exit 1")),
    "a health command in sh -c": valid({
        "c.healthCheck.command": ["CMD", "sh", "-c", f"python3 - '{HERE}/health' >/dev/null 2>&1"],
    }),
    "a health command on localhost": valid(urlopen("http://localhost:5000/health")),
    "a health command on BentoML's own path": valid(urlopen(f"{HERE}/livez")),
    "a health command of http.client": valid({
        "c.healthCheck.command": ["CMD", "python", "-c", f"{CLIENT}('127.0.0.1', 5000); c.request('GET', '/health')"],
    }),
    "a health command of http.client in one string": valid({
        "c.healthCheck.command": ["CMD", "python", "-c", f"{CLIENT}('localhost:5000'); c.request('GET', '/health')"],
    }),
    "a health command that only connects": valid({
        "c.healthCheck.command": ["CMD", "python", "-c", "import socket; socket.socket().connect(('127.0.0.1', 5000))"],
    }),
    "a health command that takes PORT or a default": valid(shell("python check.py http://localhost:${PORT:-5000}/health")),
    "a health command that takes PORT": valid({
        "env.PORT": "8080", "c.portMappings.0.containerPort": 8080, **shell("python check.py http://127.0.0.1:${PORT}/health"),
    }),
    "another port, everywhere": valid({
        "env.PORT": "8080", "c.portMappings.0.containerPort": 8080, **urlopen("http://127.0.0.1:8080/health"),
    }),
    "another port of the image": valid(
        {"c.portMappings.0.containerPort": 9000, **urlopen("http://127.0.0.1:9000/health")}, contract={"port": 9000}
    ),
    "the same host port": valid({"c.portMappings.0.hostPort": 5000}),
    "no protocol named": valid({"c.portMappings.0.protocol": GONE}),
    "a second port": valid({"c.portMappings.1": {"containerPort": 9090}}),
    "sizes in words": valid({"cpu": "1 vCPU", "memory": "2 GB"}),
    "the least size": valid({"cpu": "256", "memory": "2048"}),
    "the largest size": valid({"cpu": "16384", "memory": "122880"}),
    "ARM, and an image for it": valid({"runtimePlatform.cpuArchitecture": "ARM64"}, contract={"architecture": "arm64"}),
    "no platform named, which means X86_64": valid({"runtimePlatform": GONE}),
    "a limit of the container at the minimum": valid({"c.memory": 1472}),
    "a reservation below the limit": valid({"c.memory": 2048, "c.memoryReservation": 1024}),
    "the longest stop": valid({"c.stopTimeout": 120}),
    "the default stop, which is above what the image takes": valid({"c.stopTimeout": GONE}),
    "more disk": valid({"ephemeralStorage.sizeInGiB": 21}),
    "the most disk": valid({"ephemeralStorage.sizeInGiB": 200}),
    "a sidecar": valid({"containerDefinitions.1": SIDECAR}),
    "a sidecar that is waited for": valid({
        "containerDefinitions.1": SIDECAR, "c.dependsOn": [{"containerName": "collector", "condition": "START"}],
    }),
    "a secret as a whole": valid({"secret.SHINE_API_KEYS": STORED}, phase="full"),
    "a parameter as a secret": valid({"secret.SHINE_API_KEYS": PARAMETER}, phase="full"),
    "a parameter by its name": valid({"secret.SHINE_API_KEYS": "/shine/keys"}, phase="full"),
    "keys in an earlier phase": valid({"secret.SHINE_API_KEYS": STORED, "env.SHINE_RATE_PER_MINUTE": "60"}),
    "variables of others": valid({"env.TZ": "UTC", "env.OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}),
    "a variable that Kubernetes injects": valid({"env.SHINE_GATEWAY_SERVICE_HOST": "10.0.0.1"}),
    "settings at their limits": valid({
        "env.SHINE_MAX_BATCH_SIZE": "64", "env.SHINE_MAX_BODY_MIB": "1024", "env.SHINE_THREADS": "0",
    }),
    "empty settings, which mean not set": valid({"env.SHINE_CACHE_DIR": "", "env.SHINE_WEIGHTS_SHA256": ""}),
    "a cache folder within /tmp": valid({"env.SHINE_CACHE_DIR": "/tmp/cache/shine"}),
    "a cache folder on a volume of its own": valid({
        "env.SHINE_CACHE_DIR": "/cache", "volumes.1": {"name": "cache"},
        "c.mountPoints.1": {"sourceVolume": "cache", "containerPath": "/cache"},
    }),
    "the model demanded where it is on": valid({"env.SHINE_REQUIRE_MODEL": "true"}),
    "roles by their names": valid({"executionRoleArn": "shine-execution", "taskRoleArn": "shine-task"}),
    "no task role where nothing is asked of AWS": valid({"taskRoleArn": GONE}, phase="simple"),
    "the image's own user": valid({"c.user": GONE}),
    "the image's own command": valid({"c.command": ["serve"]}),
    "a tag beside the digest": valid({"c.image": "shine:1.0.0@sha256:" + "0" * 64}),
    "FireLens": valid({**ROUTED, "containerDefinitions.1": ROUTER}),
    "tags": valid({"tags": [{"key": "team", "value": "skin"}]}),
    "SYS_PTRACE, which Fargate lets": valid({"c.linuxParameters.capabilities.add": ["SYS_PTRACE"]}),
    "a quarter of a CPU as AWS reads it": valid({"cpu": ".25 vcpu", "memory": "2GB"}),
    "sizes with a point": valid({"cpu": "1.0 vCPU", "memory": "2.0 GB"}),
    "half a CPU": valid({"cpu": "0.5vCPU", "memory": "4 gb"}),
    "gMSA without a domain": valid({
        "c.credentialSpecs": ["credentialspecdomainless:arn:aws:ssm:us-east-1:123456789012:parameter/gmsa"],
    }),
    "empty texts from fixed lists, which mean nothing": valid({"c.links": [], "placementConstraints": []}),
    "a sidecar that is healthy first": valid({**helper(healthCheck=CHECKED), **waits("HEALTHY")}),
    "a first container that ends": valid({**helper(), **waits("SUCCESS")}),
    "a chain of containers": valid({
        **helper(dependsOn=[{"containerName": "first", "condition": "COMPLETE"}]), **waits("START"),
        "containerDefinitions.2": {**BUSYBOX, "name": "first"},
    }),
    "a sidecar that is restarted": valid(helper(restartPolicy={"enabled": True, "restartAttemptPeriod": 60})),
    "DNS over both protocols": valid(helper(portMappings=[
        {"containerPort": 53, "protocol": "udp"}, {"containerPort": 53, "protocol": "tcp"},
    ])),
    "a router with its configuration in its image": valid({**ROUTED, "containerDefinitions.1": {
        **ROUTER, **LOGGED, "firelensConfiguration": {
            "type": "fluentbit", "options": {"config-file-type": "file", "config-file-value": "/extra.conf"},
        },
    }}),
    "EFS with an access point": valid(volume(efsVolumeConfiguration={**EFS, **POINT, "rootDirectory": "/"})),
    "EFS of another account": valid(volume(efsVolumeConfiguration={
        **EFS, "fileSystemId": "arn:aws:elasticfilesystem:us-east-1:210987654321:file-system/fs-0123456789abcdef0",
    })),
    "EBS at launch": valid(volume(configuredAtLaunch=True)),
    "splunk with its token from a secret": valid({"c.logConfiguration": {
        "logDriver": "splunk", "options": {"splunk-url": "https://s.example"},
        "secretOptions": [{"name": "splunk-token", "valueFrom": STORED}],
    }}),
    "limits below the task's, reservations too": valid({
        **helper(memory=256, memoryReservation=64), "c.memory": 1536, "c.memoryReservation": 512,
    }),
    "names that only look like secrets": valid({
        "env.S3_MODEL_KEY": "models/a.onnx", "env.MAX_TOKENS": "4096", "env.DYNAMO_PARTITION_KEY": "tenant",
        "env.SORT_KEY": "id", "env.CACHE_KEY_PREFIX": "shine", "env.TOKEN_TTL": "60", "env.PASSWORD_MIN_LENGTH": "12",
        "env.STRIPE_PUBLIC_KEY": "pk_live_123", "env.PASSPORT_URL": "https://id.example", "env.MONKEY": "x",
        "env.SECRET_NAME": "prod/db", "env.DB_SECRET": "prod/app/db", "env.USE_TOKEN": "true",
        "env.PASSWORD_FILE": "/run/secrets/db", "env.DB_PASSWORD": "/run/secrets/db", "env.NEXT_TOKEN": "abc",
        "env.DATABASE_URL": "postgres://db.example/shine", "env.PROXY": "http://user@proxy.example:3128",
        "env.KEYSPACE": "shine", "env.COMPASS": "north", "env.BYPASS": "no",
    }),
    "a secret that RDS manages": valid({
        "secret.DB": "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-0f-AbCdEf:password::",
    }),
    "parameters that begin with digits": valid({"secret.A": "/2024/shine/key", "secret.B": "2024/shine"}),
    "a name with digits first in full": valid({"secret.A": "arn:aws:ssm:us-east-1:123456789012:parameter/2024/key"}),
    "a variable that an application expands": valid({"env.PATTERN": "%d ${level} {{name}} <b>", "env.CMD": "$HOME/x"}),
    "a health command that fails in one of two ways": valid(shell(
        f"python check.py {HERE}/health && exit 0 || exit 1"
    )),
    "an environment file of a sidecar": valid(helper(environmentFiles=[FROM_FILE])),
    "a sidecar's image by its version": valid(helper(image="nginx:1.27")),
}  # fmt: skip
