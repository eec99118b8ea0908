"""Wrong task definitions: each a good one with one fault, and the code by which it must be found, alone."""

from dataclasses import dataclass, field
from typing import Any

from bentos.skin.settings import Phase
from tests.deploy.good import DIGEST, GONE

ROLE = "arn:aws:iam::123456789012:role/"
STORED = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shine-AbCdEf"
FROM_FILE = {"value": "arn:aws:s3:::b/x.env", "type": "s3"}
SIDECAR = {"name": "proxy", "image": f"proxy@{DIGEST}", "environment": [{"name": "PROXY_PASSWORD", "value": "x"}]}
ADMIN = {"name": "admin", "image": f"admin@{DIGEST}", "portMappings": [{"containerPort": 9000}]}
ROUTER = {
    "name": "log_router",
    "image": f"public.ecr.aws/aws-observability/aws-for-fluent-bit@{DIGEST}",
    "firelensConfiguration": {"type": "fluentbit"},
    "environment": [{"name": "PORT", "value": "24224"}],
    "portMappings": [{"containerPort": 24224}],
}
CLIENT = "import http.client; c = http.client.HTTPConnection"
HERE = "http://127.0.0.1:5000"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shine-api-gateway"


@dataclass(frozen=True)
class Wrong:
    """One row.

    Attributes:
        code: that must be found, and no other.
        changes: of the good task definition; see tests/deploy/good.py.
        says: words that the sentence must hold: both values, where two disagree.
        phase: of the good task definition.
        contract: changes of the contract.
        level: of the finding.
        meant: the phase that is given on the command line.
    """

    code: str
    changes: dict[str, Any]
    says: tuple[str, ...] = ()
    phase: Phase = "hybrid"
    contract: dict[str, Any] = field(default_factory=dict)
    level: str = "FAIL"
    meant: str | None = None


def shell(line: str) -> dict[str, Any]:
    """A health command as a line of shell."""
    return {"c.healthCheck.command": ["CMD-SHELL", line]}


def urlopen(url: str) -> dict[str, Any]:
    """A health command in Python, on another address."""
    return {"c.healthCheck.command": ["CMD", "python", "-c", f"import urllib.request as u; u.urlopen('{url}')"]}


SHAPE = [
    Wrong("FIELD_UNKNOWN", {"c.healthcheck": {}, "c.healthCheck": GONE}, ("healthcheck", "healthCheck")),
    Wrong("FIELD_UNKNOWN", {"c.portMapping": [], "c.portMappings": GONE}, ("portMapping", "portMappings")),
    Wrong("FIELD_UNKNOWN", {"c.healthCheck.starPeriod": 60, "c.healthCheck.startPeriod": GONE}, ("startPeriod",)),
    Wrong("FIELD_UNKNOWN", {"containerDefinition": []}, ("containerDefinitions",)),
    Wrong("FIELD_UNKNOWN", {"desiredCount": 2}, ("desiredCount",)),
    Wrong("FIELD_UNKNOWN", {"c.ReadonlyRootFilesystem": True, "c.readonlyRootFilesystem": GONE}, ("readonly",)),
    Wrong("FIELD_TYPE", {"cpu": 1024}, ("1024", "string")),
    Wrong("FIELD_TYPE", {"memory": 2048}, ("2048", "string")),
    Wrong("FIELD_TYPE", {"memory": None}, ("null",)),
    Wrong("FIELD_TYPE", {"c.portMappings.0.containerPort": "5000"}, ('"5000"', "whole number")),
    Wrong("FIELD_TYPE", {"c.portMappings.0.containerPort": 5000.0}, ("5000.0",)),
    Wrong("FIELD_TYPE", {"c.portMappings": {"containerPort": 5000}}, ("a list",)),
    Wrong("FIELD_TYPE", {"c.portMappings": None}, ("null",)),
    Wrong("FIELD_TYPE", {"c.healthCheck.interval": "10"}, ('"10"',)),
    Wrong("FIELD_TYPE", {"c.healthCheck.command": "CMD-SHELL exit 0"}, ("a list",)),
    Wrong("FIELD_TYPE", {"c.essential": "true"}, ('"true"',)),
    Wrong("FIELD_TYPE", {"c.readonlyRootFilesystem": "true"}, ('"true"',)),
    Wrong("FIELD_TYPE", {"c.stopTimeout": True}, ("true",)),
    Wrong("FIELD_TYPE", {"c.environment": {"SHINE_PHASE": "hybrid"}}, ("a list",)),
    Wrong("FIELD_TYPE", {"env.SHINE_MAX_PENDING": 32}, ("32", "string")),
    Wrong("FIELD_TYPE", {"containerDefinitions": {}}, ("a list",)),
    Wrong("FIELD_TYPE", {"volumes": ["tmp"]}, ("an object",)),
    Wrong("FIELD_TYPE", {"family": 7}, ("7",)),
    Wrong("FIELD_TYPE", {"taskRoleArn": [ROLE + "a"]}, ("a string",)),
    Wrong("FIELD_MISSING", {"family": GONE}, ("family",)),
    Wrong("FIELD_MISSING", {"containerDefinitions": GONE}, ("containerDefinitions",)),
    Wrong("FIELD_MISSING", {"c.healthCheck.command": GONE}, ("command",)),
    Wrong("FIELD_MISSING", {"c.logConfiguration.logDriver": GONE}, ("logDriver",)),
    Wrong("FIELD_MISSING", {"c.secrets": [{"name": "SHINE_API_KEYS"}]}, ("valueFrom",), phase="full"),
    Wrong("FIELD_VALUE", {"networkMode": "AWSVPC"}, ("AWSVPC", "awsvpc")),
    Wrong("FIELD_VALUE", {"requiresCompatibilities": ["Fargate"]}, ("Fargate", "FARGATE")),
    Wrong("FIELD_VALUE", {"runtimePlatform.cpuArchitecture": "x86_64"}, ("x86_64", "X86_64")),
    Wrong("FIELD_VALUE", {"c.portMappings.0.protocol": "http"}, ("http", "tcp")),
    Wrong("FIELD_VALUE", {"c.logConfiguration.logDriver": "awslog"}, ("awslog", "awslogs")),
    Wrong("FIELD_VALUE", {"c.ulimits.0.name": "files"}, ("files",)),
    Wrong("FAMILY_REVISION", {"family": "shine-api-gateway:simple"}, ("simple",)),
    Wrong("FAMILY_REVISION", {"family": "shine-api-gateway:7"}, ("7",)),
    Wrong("FAMILY_NAME", {"family": "shine api"}, ("shine api",)),
    Wrong("FAMILY_NAME", {"family": ""}),
    Wrong("FAMILY_NAME", {"family": "a" * 256}),
    Wrong("CONTAINERS", {"containerDefinitions": []}, ("0",)),
    Wrong("CONTAINERS", {"c.name": "shine gateway"}, ("shine gateway",)),
    Wrong("CONTAINERS", {"c.name": GONE}),
    Wrong("CONTAINERS", {"containerDefinitions.1": {"name": "shine-api-gateway", "image": f"x@{DIGEST}"}}, ("Two",)),
    Wrong("DEPENDS_ON", {"c.dependsOn": [{"containerName": "proxy", "condition": "START"}]}, ("proxy", "gateway")),
    Wrong("DEPENDS_ON", {"c.dependsOn": [{"containerName": "shine-api-gateway", "condition": "START"}]}),
]

PLATFORM = [
    Wrong("NETWORK_MODE", {"networkMode": "bridge"}, ("bridge", "awsvpc")),
    Wrong("NETWORK_MODE", {"networkMode": GONE}, ("missing", "awsvpc")),
    Wrong("LAUNCH_TYPE", {"requiresCompatibilities": ["EC2"]}, ("EC2", "FARGATE")),
    Wrong("LAUNCH_TYPE", {"requiresCompatibilities": []}, ("none", "FARGATE")),
    Wrong("LAUNCH_TYPE", {"requiresCompatibilities": GONE}, ("none", "FARGATE")),
    Wrong("FARGATE_SIZE", {"cpu": "1000"}, ("1000", "1024")),
    Wrong("FARGATE_SIZE", {"cpu": "32768"}, ("32768", "16384")),
    Wrong("FARGATE_SIZE", {"cpu": "one"}, ("one",)),
    Wrong("FARGATE_SIZE", {"cpu": GONE}, ("missing",)),
    Wrong("FARGATE_SIZE", {"memory": GONE}, ("missing",)),
    Wrong("FARGATE_SIZE", {"memory": "2 GiB"}, ("2 GiB",)),
    Wrong("FARGATE_SIZE", {"memory": "2 vCPU"}, ("2 vCPU",)),
    Wrong("FARGATE_SIZE", {"memory": "2000"}, ("2000", "2048")),
    Wrong("FARGATE_SIZE", {"memory": "9216"}, ("9216", "8192")),
    Wrong("FARGATE_SIZE", {"cpu": "256", "memory": "8192"}, ("8192", "256")),
    Wrong("FARGATE_SIZE", {"cpu": "8192", "memory": "17408"}, ("17408", "20480")),
    Wrong("MEMORY_BELOW_MINIMUM", {"cpu": "256", "memory": "1024"}, ("1024", "1472")),
    Wrong("MEMORY_BELOW_MINIMUM", {"c.memory": 1024}, ("1024", "1472")),
    Wrong("MEMORY_BELOW_MINIMUM", {"c.memory": 1471}, ("1471", "1472")),
    Wrong("CPU_BELOW_MINIMUM", {"cpu": "256"}, ("256", "512"), contract={"minimum__cpus": 0.5}),
    Wrong("CONTAINER_SHARE", {"c.memory": 4096}, ("4096", "2048")),
    Wrong("CONTAINER_SHARE", {"c.cpu": 2048}, ("2048", "1024")),
    Wrong("CONTAINER_SHARE", {"c.memory": 1536, "c.memoryReservation": 2000}, ("2000", "1536")),
    Wrong("ARCHITECTURE", {"runtimePlatform.cpuArchitecture": "ARM64"}, ("ARM64", "amd64")),
    Wrong("ARCHITECTURE", {"runtimePlatform": GONE}, ("X86_64", "arm64"), contract={"architecture": "arm64"}),
    Wrong(
        "OPERATING_SYSTEM", {"runtimePlatform.operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, ("WINDOWS", "LINUX")
    ),
    Wrong("ESSENTIAL", {"c.essential": False}, ("false",)),
    Wrong("FARGATE_REFUSES", {"c.privileged": True}, ("privileged",)),
    Wrong("FARGATE_REFUSES", {"c.links": ["db"]}, ("links",)),
    Wrong("FARGATE_REFUSES", {"c.hostname": "shine"}, ("hostname",)),
    Wrong("FARGATE_REFUSES", {"c.linuxParameters.capabilities.add": ["NET_ADMIN"]}, ("NET_ADMIN",)),
    Wrong("FARGATE_REFUSES", {"c.linuxParameters.sharedMemorySize": 64}, ("sharedMemorySize",)),
    Wrong("FARGATE_REFUSES", {"volumes.0.host": {"sourcePath": "/data"}}, ("/data",)),
    Wrong("FARGATE_REFUSES", {"volumes.0.dockerVolumeConfiguration": {"scope": "task"}}, ("docker",)),
    Wrong("FARGATE_REFUSES", {"pidMode": "host"}, ("host",)),
    Wrong("FARGATE_REFUSES", {"ipcMode": "host"}, ("host",)),
    Wrong("FARGATE_REFUSES", {"placementConstraints": [{"type": "memberOf", "expression": "a"}]}),
    Wrong("EPHEMERAL_STORAGE", {"ephemeralStorage.sizeInGiB": 20}, ("20", "21")),
    Wrong("EPHEMERAL_STORAGE", {"ephemeralStorage.sizeInGiB": 201}, ("201", "200")),
    Wrong("LOGS", {"c.logConfiguration": GONE}, level="WARN"),
    Wrong("LOGS", {"c.logConfiguration.logDriver": "json-file"}, ("json-file", "awslogs")),
    Wrong("LOGS", {"c.logConfiguration.options.awslogs-stream-prefix": GONE}, ("awslogs-stream-prefix",)),
    Wrong("LOGS", {"c.logConfiguration.options.awslogs-region": ""}, ("awslogs-region",)),
    Wrong("LOGS", {"c.logConfiguration.options": GONE}, ("awslogs-group",)),
]

PORTS = [
    Wrong("PORT_MISMATCH", {"c.portMappings.0.containerPort": 8080}, ("5000", "8080")),
    Wrong("PORT_MISMATCH", {"c.portMappings.0.containerPort": 0}, ("5000", "0")),
    Wrong("PORT_MISMATCH", {"c.portMappings.0.containerPort": 70000}, ("5000", "70000")),
    Wrong("PORT_MISMATCH", {"env.PORT": "8080", **urlopen("http://127.0.0.1:8080/health")}, ("5000", "8080")),
    Wrong("PORT_MISSING", {"c.portMappings": []}, ("5000",)),
    Wrong("PORT_MISSING", {"c.portMappings": GONE}, ("5000",)),
    Wrong("PORT_MISSING", {"c.portMappings": [{"protocol": "tcp"}]}, ("5000",)),
    Wrong(
        "PORT_MISSING",
        {"c.portMappings.0.containerPort": 8080, "containerDefinitions.1": ADMIN},
        ("which container serves", '"shine-api-gateway", "admin"', "5000"),
    ),
    Wrong(
        "PORT_MISMATCH",
        {"c.portMappings.0.containerPort": 8080, "containerDefinitions.1": ROUTER},
        ("5000", "8080"),
    ),
    Wrong("HOST_PORT", {"c.portMappings.0.hostPort": 80}, ("80", "5000")),
    Wrong("HOST_PORT", {"c.portMappings.0.hostPort": 0}, ("0", "5000")),
    Wrong("PORT_PROTOCOL", {"c.portMappings.0.protocol": "udp"}, ("udp", "tcp")),
    Wrong("PORT_PROTOCOL", {"c.portMappings.1": {"containerPort": 5000}}, ("twice",)),
    Wrong("PORT_VALUE", {"env.PORT": "http"}, ("http", "5000")),
    Wrong("PORT_VALUE", {"env.PORT": "\\1", **shell("python check.py http://127.0.0.1:5000/health $PORT")}),
    Wrong("PORT_VALUE", {"env.PORT": "65536"}, ("65536", "5000")),
]

HEALTH = [
    Wrong("HEALTH_MISSING", {"c.healthCheck": GONE}, ("/health",), level="WARN"),
    Wrong("HEALTH_COMMAND", {"c.healthCheck.command": []}),
    Wrong("HEALTH_COMMAND", {"c.healthCheck.command": ["CMD"]}),
    Wrong("HEALTH_COMMAND", {"c.healthCheck.command": ["NONE"]}, ("NONE",)),
    Wrong("HEALTH_COMMAND", {"c.healthCheck.command": ["python", "-c", "pass"]}, ("python", "CMD")),
    Wrong("HEALTH_COMMAND", {"c.healthCheck.command": ["CMD", f"python -c 'x {HERE}/health'"]}),
    Wrong("HEALTH_COMMAND", {"c.healthCheck.command": ["CMD-SHELL", "python", "-c", "x"]}),
    Wrong("HEALTH_COMMAND", shell(f"python -c 'x {HERE}/health")),
    Wrong("HEALTH_EXECUTABLE", shell(f"curl -f {HERE}/health || exit 1"), ("curl", "python")),
    Wrong("HEALTH_EXECUTABLE", shell(f"wget -q --spider {HERE}/health"), ("wget", "python")),
    Wrong("HEALTH_EXECUTABLE", shell(f"test -d /tmp && timeout 3 /usr/bin/curl {HERE}/health"), ("curl",)),
    Wrong("HEALTH_EXECUTABLE", {"c.healthCheck.command": ["CMD", "curl", "-f", f"{HERE}/health"]}, ("curl",)),
    Wrong("HEALTH_EXECUTABLE", {"c.healthCheck.command": ["CMD", "sh", "-c", f"curl {HERE}/health"]}, ("curl",)),
    Wrong("HEALTH_EXECUTABLE", shell(f"/app/check {HERE}/health"), ("check", "python"), level="WARN"),
    Wrong("HEALTH_PORT", urlopen("http://127.0.0.1:8080/health"), ("8080", "5000")),
    Wrong("HEALTH_PORT", urlopen("http://localhost/health"), ("80", "5000")),
    Wrong("HEALTH_PORT", shell("python check.py localhost:${PORT}/health"), ("80", "5000")),
    Wrong(
        "HEALTH_PORT",
        shell(f"python -c \"{CLIENT}('localhost', 8080); c.request('GET', '/health')\""),
        ("8080", "5000"),
    ),
    Wrong("HEALTH_PATH", shell(f"python -c \"{CLIENT}('localhost', 5000); c.request('GET', '/')\""), ("/health",)),
    Wrong("HEALTH_PATH", urlopen(f"{HERE}/"), ('"/"', "/health")),
    Wrong("HEALTH_PATH", urlopen(HERE), ('"/"', "/health")),
    Wrong("HEALTH_PATH", urlopen(f"{HERE}/healthy"), ("/healthy", "/health")),
    Wrong("HEALTH_PATH", urlopen(f"{HERE}/version"), ("/version", "/health")),
    Wrong("HEALTH_WAITS_FOR_MODEL", urlopen(f"{HERE}/ready"), ("/ready", "/health")),
    Wrong("HEALTH_WAITS_FOR_MODEL", urlopen(f"{HERE}/readyz"), ("/readyz", "/health")),
    Wrong("HEALTH_ADDRESS", urlopen("https://127.0.0.1:5000/health"), ("https", "http")),
    Wrong("HEALTH_ADDRESS", urlopen("http://api.shine.example:5000/health"), ("api.shine.example",), level="WARN"),
    Wrong("HEALTH_RANGE", {"c.healthCheck.interval": 4}, ("4", "5")),
    Wrong("HEALTH_RANGE", {"c.healthCheck.interval": 301}, ("301", "300")),
    Wrong("HEALTH_RANGE", {"c.healthCheck.timeout": 1}, ("1", "2")),
    Wrong("HEALTH_RANGE", {"c.healthCheck.timeout": 61}, ("61", "60")),
    Wrong("HEALTH_RANGE", {"c.healthCheck.retries": 0}, ("0", "1")),
    Wrong("HEALTH_RANGE", {"c.healthCheck.retries": 11}, ("11", "10")),
    Wrong("HEALTH_RANGE", {"c.healthCheck.startPeriod": -1}, ("-1", "0")),
    Wrong("HEALTH_RANGE", {"c.healthCheck.startPeriod": 9999}, ("9999", "300")),
    Wrong("HEALTH_TIMEOUT", {"c.healthCheck.timeout": 4}, ("4 s",), level="WARN"),
    Wrong("HEALTH_START_PERIOD", {"c.healthCheck.startPeriod": 0}, ("0 s", "2.3"), level="WARN"),
    Wrong("HEALTH_START_PERIOD", {"c.healthCheck.startPeriod": GONE}, ("0 s", "2.3"), level="WARN"),
    Wrong("HEALTH_START_PERIOD", {}, ("90 s", "100 s"), contract={"seconds__start": 100}),
]

STOPPING = [
    Wrong("STOP_TIMEOUT_RANGE", {"c.stopTimeout": 121}, ("121", "120")),
    Wrong("STOP_TIMEOUT_RANGE", {"c.stopTimeout": 1}, ("1", "2")),
    Wrong("STOP_TIMEOUT", {"c.stopTimeout": 10}, ("10 s", "25 s")),
    Wrong("STOP_TIMEOUT", {"c.stopTimeout": 25}, ("25 s",)),
    Wrong("STOP_TIMEOUT", {"c.stopTimeout": GONE}, ("30 s", "40 s"), contract={"seconds__stop": 40}),
    Wrong("STOP_TIMEOUT", {"env.SHINE_REQUEST_DEADLINE_MS": "90000"}, ("60 s", "90 s")),
    Wrong("KEEP_ALIVE", {}, ("30 s", "60 s"), contract={"seconds__keep_alive": 30}, level="WARN"),
]

IMAGE = [
    Wrong("IMAGE_REFERENCE", {"c.image": GONE}),
    Wrong("IMAGE_REFERENCE", {"c.image": ""}),
    Wrong("IMAGE_REFERENCE", {"c.image": f"https://{REPOSITORY}:1.0.0"}, ("https",)),
    Wrong("IMAGE_REFERENCE", {"c.image": f"{REPOSITORY}@sha256:abc"}, ("sha256:abc",)),
    Wrong("IMAGE_REFERENCE", {"c.image": "Shine:1.0.0"}, ("Shine",)),
    Wrong("IMAGE_TAG_MOVES", {"c.image": REPOSITORY}, ("latest",)),
    Wrong("IMAGE_TAG_MOVES", {"c.image": f"{REPOSITORY}:latest"}, ("latest",)),
    Wrong("IMAGE_TAG_MOVES", {"c.image": f"{REPOSITORY}:simple"}, ("simple",)),
    Wrong("IMAGE_TAG_MOVES", {"c.image": f"{REPOSITORY}:hybrid"}, ("hybrid",)),
    Wrong("IMAGE_BY_TAG", {"c.image": f"{REPOSITORY}:1.0.0"}, ("1.0.0",), level="WARN"),
    Wrong("COMMAND", {"c.command": ["python", "app.py"]}, ("python", "serve"), level="WARN"),
    Wrong("COMMAND", {"c.entryPoint": ["sh", "-c"]}, ("sh", "serve"), level="WARN"),
]

ROLES = [
    Wrong("ROLE_ARN", {"executionRoleArn": "arn:aws:iam::123456789012:user/shine"}, ("user/shine",)),
    Wrong("ROLE_ARN", {"taskRoleArn": "arn:aws:iam::1234:role/shine"}, ("1234",)),
    Wrong("EXECUTION_ROLE_MISSING", {"executionRoleArn": GONE}),
    Wrong("EXECUTION_ROLE_MISSING", {"executionRoleArn": ""}),
    Wrong("TASK_ROLE_MISSING", {"taskRoleArn": GONE}, ("s3://",), phase="foundation"),
    Wrong("ROLES_SAME", {"taskRoleArn": ROLE + "shine-execution"}, ("shine-execution",), level="WARN"),
]

SETTINGS = [
    Wrong("SETTING_UNKNOWN", {"env.SHINE_PHSAE": "hybrid"}, ("SHINE_PHSAE", "SHINE_PHASE")),
    Wrong("SETTING_UNKNOWN", {"env.SHINE_COLOUR": "red"}, ("SHINE_COLOUR",)),
    Wrong("SETTING_UNKNOWN", {"env.shine_threads": "2"}, ("shine_threads", "SHINE_THREADS")),
    Wrong("SETTING_UNKNOWN", {"secret.SHINE_API_KEY": STORED}, ("SHINE_API_KEY", "SHINE_API_KEYS")),
    Wrong("SETTING_VALUE", {"env.SHINE_PHASE": "phase2"}, ("phase2", "hybrid")),
    Wrong("SETTING_VALUE", {"env.SHINE_PHASE": "Hybrid"}, ("Hybrid", "hybrid")),
    Wrong("SETTING_VALUE", {"env.SHINE_REQUIRE_MODEL": "maybe"}, ("maybe", "true")),
    Wrong("SETTING_VALUE", {"env.SHINE_MAX_PENDING": "0"}, ("0", "at least 1")),
    Wrong("SETTING_VALUE", {"env.SHINE_MAX_PENDING": "many"}, ("many", "whole number")),
    Wrong("SETTING_VALUE", {"env.SHINE_MAX_PENDING": "1.5"}, ("1.5", "whole number")),
    Wrong("SETTING_VALUE", {"env.SHINE_MAX_BATCH_SIZE": "1"}, ("1", "at least 2")),
    Wrong("SETTING_VALUE", {"env.SHINE_MAX_BATCH_SIZE": "65"}, ("65", "at most 64")),
    Wrong("SETTING_VALUE", {"env.SHINE_MAX_BODY_MIB": "0"}, ("0", "above 0")),
    Wrong("SETTING_VALUE", {"env.SHINE_MAX_MEGAPIXELS": "1001"}, ("1001", "1000")),
    Wrong("SETTING_VALUE", {"env.SHINE_WEIGHTS_SHA256": "AB" * 32}, ("ABAB",)),
    Wrong("SETTING_VALUE", {"env.SHINE_QUALITY": "high"}, ("high", "strict")),
    Wrong("SETTINGS_REFUSED", {"env.SHINE_LOG_FORMAT": "text"}, ("SHINE_LOG_EMF", "text")),
    Wrong("SETTINGS_REFUSED", {"env.SHINE_RATE_PER_MINUTE": "60"}, ("SHINE_API_KEYS",)),
    Wrong("SETTINGS_REFUSED", {"env.SHINE_CORS_ORIGINS": "*"}, ("origin",)),
    Wrong("SETTINGS_REFUSED", {"env.SHINE_CORS_ORIGINS": "https://shine.example/"}, ("https://shine.example/",)),
    Wrong("SETTING_TWICE", {"c.environment.3": {"name": "SHINE_PHASE", "value": "hybrid"}}, ("SHINE_PHASE", "2")),
    Wrong("SETTING_TWICE", {"env.SHINE_THREADS": "2", "secret.SHINE_THREADS": STORED}, ("SHINE_THREADS",)),
    Wrong("VARIABLE_NAME", {"c.environment.3": {"value": "x"}}),
    Wrong("VARIABLE_NAME", {"env.A=B": "x"}, ("A=B",)),
    Wrong("ENVIRONMENT_FILE", {"c.environmentFiles": [FROM_FILE]}, ("x.env",), level="WARN"),
]

SECRETS = [
    Wrong("SECRET_IN_PLAIN", {"env.SHINE_API_KEYS": "k" * 40}, ("SHINE_API_KEYS",)),
    Wrong("SECRET_IN_PLAIN", {"env.SHINE_API_KEYS": "k" * 40, "c.secrets": []}, phase="full"),
    Wrong("SECRET_IN_PLAIN", {"env.AWS_SECRET_ACCESS_KEY": "x" * 40}, ("AWS_SECRET_ACCESS_KEY",), level="WARN"),
    Wrong("SECRET_IN_PLAIN", {"env.DATABASE_PASSWORD": "hunter2"}, ("DATABASE_PASSWORD",), level="WARN"),
    Wrong("SECRET_IN_PLAIN", {"env.GITHUB_TOKEN": "x"}, ("GITHUB_TOKEN",), level="WARN"),
    Wrong("SECRET_IN_PLAIN", {"containerDefinitions.1": SIDECAR}, ("PROXY_PASSWORD",), level="WARN"),
    Wrong("SECRET_ARN", {"secret.SHINE_API_KEYS": STORED + ":api_keys"}, ("three colons",), phase="full"),
    Wrong("SECRET_ARN", {"secret.SHINE_API_KEYS": STORED + ":api_keys:"}, ("three colons",), phase="full"),
    Wrong("SECRET_ARN", {"secret.SHINE_API_KEYS": "arn:aws:s3:::bucket/keys"}, ("s3",), phase="full"),
    Wrong("SECRET_ARN", {"secret.SHINE_API_KEYS": "my secret"}, ("my secret",), phase="full"),
]

PHASES = [
    Wrong("PHASE", {}, ("hybrid", "full"), meant="full"),
    Wrong("PHASE", {"env.SHINE_PHASE": GONE}, ("hybrid", "simple"), meant="simple"),
    Wrong("PHASE_WEIGHTS", {"env.SHINE_WEIGHTS_URI": GONE}, ("not set", "foundation"), phase="foundation"),
    Wrong("PHASE_WEIGHTS", {"env.SHINE_WEIGHTS_URI": ""}, ("not set", "full"), phase="full"),
    Wrong("PHASE_WEIGHTS", {"env.SHINE_WEIGHTS_URI": "/models/skin"}, ("/models/skin", "s3://"), phase="foundation"),
    Wrong("PHASE_PIN", {"env.SHINE_WEIGHTS_SHA256": GONE}, ("foundation",), phase="foundation"),
    Wrong("PHASE_PIN", {"env.SHINE_WEIGHTS_SHA256": GONE}, ("full",), phase="full"),
    Wrong("PHASE_KEYS", {"c.secrets": [], "env.SHINE_RATE_PER_MINUTE": GONE}, ("full",), phase="full"),
    Wrong("MODEL_REQUIRED", {"env.SHINE_REQUIRE_MODEL": "true"}, ("true", "simple"), phase="simple"),
    Wrong("WEIGHTS_IGNORED", {"env.SHINE_WEIGHTS_URI": "s3://b/w"}, ("s3://b/w",), phase="simple", level="WARN"),
]

FILES = [
    Wrong("ROOT_WRITABLE", {"c.readonlyRootFilesystem": False}, ("/tmp",), level="WARN"),
    Wrong("ROOT_WRITABLE", {"c.readonlyRootFilesystem": GONE}, ("/tmp",), level="WARN"),
    Wrong("NOT_WRITABLE", {"c.mountPoints": []}, ("/tmp",)),
    Wrong("NOT_WRITABLE", {"c.mountPoints": GONE, "volumes": GONE}, ("/tmp",)),
    Wrong("NOT_WRITABLE", {"c.mountPoints.0.readOnly": True}, ("/tmp",)),
    Wrong("NOT_WRITABLE", {"c.mountPoints.0.containerPath": "/data"}, ("/tmp",)),
    Wrong("FOLDER_NOT_WRITABLE", {"env.SHINE_CACHE_DIR": "/var/cache/shine"}, ("/var/cache/shine", "/tmp")),
    Wrong("FOLDER_NOT_WRITABLE", {"env.BENTOML_HOME": "/home/bentoml"}, ("/home/bentoml", "/tmp")),
    Wrong("MOUNT", {"volumes": []}, ('"tmp"', "none")),
    Wrong("MOUNT", {"c.mountPoints.0.sourceVolume": "temp"}, ('"temp"', '"tmp"')),
    Wrong("MOUNT", {"c.mountPoints.1": {"sourceVolume": "tmp", "containerPath": "cache"}}, ("cache",)),
    Wrong("MOUNT", {"c.mountPoints.1": {"sourceVolume": "tmp", "containerPath": "/tmp"}}, ("twice",)),
    Wrong("TMPFS", {"c.linuxParameters.tmpfs": [{"containerPath": "/run", "size": 64}]}, ("/run",), level="WARN"),
    Wrong("USER_ROOT", {"c.user": "root"}, ("root", "10001"), level="WARN"),
    Wrong("USER_ROOT", {"c.user": "0:0"}, ("0:0", "10001"), level="WARN"),
    Wrong("ULIMITS", {"c.ulimits.0.softLimit": 20000}, ("20000", "16384")),
]

ROWS = [
    *SHAPE, *PLATFORM, *PORTS, *HEALTH, *STOPPING, *IMAGE, *ROLES, *SETTINGS, *SECRETS, *PHASES, *FILES,
]  # fmt: skip
NAMES = [f"{place}-{row.code}" for place, row in enumerate(ROWS)]
