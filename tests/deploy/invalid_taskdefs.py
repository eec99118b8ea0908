"""Invalid task definitions: each a good one with one fault, and the code by which it must be found, alone."""

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
ROUTED_BY_ITSELF = {"logConfiguration": {"logDriver": "awsfirelens"}}
ROUTED = {"c.logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "cloudwatch"}}}
BUSYBOX = {"name": "helper", "image": f"public.ecr.aws/docker/library/busybox@{DIGEST}", "essential": False}
AWSLOGS = {"awslogs-group": "/ecs/shine", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "shine"}
LOGGED = {"logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS}}
CHECKED = {"command": ["CMD-SHELL", "pgrep helper || exit 1"]}
EFS = {"fileSystemId": "fs-0123456789abcdef0", "transitEncryption": "ENABLED"}
POINT = {"authorizationConfig": {"accessPointId": "fsap-0123456789abcdef0"}}
FSX = {
    "fileSystemId": "fs-0123456789abcdef0", "rootDirectory": "share",
    "authorizationConfig": {"credentialsParameter": "arn:aws:ssm:us-east-1:123456789012:parameter/x", "domain": "a.b"},
}  # fmt: skip
CLIENT = "import http.client; c = http.client.HTTPConnection"
HERE = "http://127.0.0.1:5000"
REPOSITORY = "123456789012.dkr.ecr.us-east-1.amazonaws.com/shine-api-gateway"


@dataclass(frozen=True)
class Invalid:
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


def helper(**more: Any) -> dict[str, Any]:
    """A second container."""
    return {"containerDefinitions.1": {**BUSYBOX, **more}}


def volume(**more: Any) -> dict[str, Any]:
    """A second volume."""
    return {"volumes.1": {"name": "data", **more}}


def waits(condition: str) -> dict[str, Any]:
    """The serving container waits for the second one."""
    return {"c.dependsOn": [{"containerName": "helper", "condition": condition}]}


def urlopen(url: str) -> dict[str, Any]:
    """A health command in Python, on another address."""
    return {"c.healthCheck.command": ["CMD", "python", "-c", f"import urllib.request as u; u.urlopen('{url}')"]}


SHAPE = [
    Invalid("FIELD_UNKNOWN", {"c.healthcheck": {}, "c.healthCheck": GONE}, ("healthcheck", "healthCheck")),
    Invalid("FIELD_UNKNOWN", {"c.portMapping": [], "c.portMappings": GONE}, ("portMapping", "portMappings")),
    Invalid("FIELD_UNKNOWN", {"c.healthCheck.starPeriod": 60, "c.healthCheck.startPeriod": GONE}, ("startPeriod",)),
    Invalid("FIELD_UNKNOWN", {"containerDefinition": []}, ("containerDefinitions",)),
    Invalid("FIELD_UNKNOWN", {"desiredCount": 2}, ("desiredCount",)),
    Invalid("FIELD_UNKNOWN", {"c.ReadonlyRootFilesystem": True, "c.readonlyRootFilesystem": GONE}, ("readonly",)),
    Invalid("FIELD_TYPE", {"cpu": 1024}, ("1024", "string")),
    Invalid("FIELD_TYPE", {"memory": 2048}, ("2048", "string")),
    Invalid("FIELD_TYPE", {"memory": None}, ("null",)),
    Invalid("FIELD_TYPE", {"c.portMappings.0.containerPort": "5000"}, ('"5000"', "whole number")),
    Invalid("FIELD_TYPE", {"c.portMappings.0.containerPort": 5000.0}, ("5000.0",)),
    Invalid("FIELD_TYPE", {"c.portMappings": {"containerPort": 5000}}, ("a list",)),
    Invalid("FIELD_TYPE", {"c.portMappings": None}, ("null",)),
    Invalid("FIELD_TYPE", {"c.healthCheck.interval": "10"}, ('"10"',)),
    Invalid("FIELD_TYPE", {"c.healthCheck.command": "CMD-SHELL exit 0"}, ("a list",)),
    Invalid("FIELD_TYPE", {"c.essential": "true"}, ('"true"',)),
    Invalid("FIELD_TYPE", {"c.readonlyRootFilesystem": "true"}, ('"true"',)),
    Invalid("FIELD_TYPE", {"c.stopTimeout": True}, ("true",)),
    Invalid("FIELD_TYPE", {"c.environment": {"SHINE_PHASE": "hybrid"}}, ("a list",)),
    Invalid("FIELD_TYPE", {"env.SHINE_MAX_PENDING": 32}, ("32", "string")),
    Invalid("FIELD_TYPE", {"containerDefinitions": {}}, ("a list",)),
    Invalid("FIELD_TYPE", {"volumes": ["tmp"]}, ("an object",)),
    Invalid("FIELD_TYPE", {"family": 7}, ("7",)),
    Invalid("FIELD_TYPE", {"taskRoleArn": [ROLE + "a"]}, ("a string",)),
    Invalid("FIELD_MISSING", {"family": GONE}, ("family",)),
    Invalid("FIELD_MISSING", {"containerDefinitions": GONE}, ("containerDefinitions",)),
    Invalid("FIELD_MISSING", {"c.healthCheck.command": GONE}, ("command",)),
    Invalid("FIELD_MISSING", {"c.logConfiguration.logDriver": GONE}, ("logDriver",)),
    Invalid("FIELD_MISSING", {"c.secrets": [{"name": "SHINE_API_KEYS"}]}, ("valueFrom",), phase="full"),
    Invalid("FIELD_VALUE", {"networkMode": "AWSVPC"}, ("AWSVPC", "awsvpc")),
    Invalid("FIELD_VALUE", {"requiresCompatibilities": ["Fargate"]}, ("Fargate", "FARGATE")),
    Invalid("FIELD_VALUE", {"runtimePlatform.cpuArchitecture": "x86_64"}, ("x86_64", "X86_64")),
    Invalid("FIELD_VALUE", {"c.portMappings.0.protocol": "http"}, ("http", "tcp")),
    Invalid("FIELD_VALUE", {"c.logConfiguration.logDriver": "awslog"}, ("awslog", "awslogs")),
    Invalid("FIELD_VALUE", {"c.ulimits.0.name": "files"}, ("files",)),
    Invalid("FAMILY_REVISION", {"family": "shine-api-gateway:simple"}, ("simple",)),
    Invalid("FAMILY_REVISION", {"family": "shine-api-gateway:7"}, ("7",)),
    Invalid("FAMILY_NAME", {"family": "shine api"}, ("shine api",)),
    Invalid("FAMILY_NAME", {"family": ""}),
    Invalid("FAMILY_NAME", {"family": "a" * 256}),
    Invalid("CONTAINERS", {"containerDefinitions": []}, ("0",)),
    Invalid("CONTAINERS", {"c.name": "shine gateway"}, ("shine gateway",)),
    Invalid("CONTAINERS", {"c.name": GONE}),
    Invalid("CONTAINERS", {"containerDefinitions.1": {"name": "shine-api-gateway", "image": f"x@{DIGEST}"}}, ("Two",)),
    Invalid("DEPENDS_ON", {"c.dependsOn": [{"containerName": "proxy", "condition": "START"}]}, ("proxy", "gateway")),
    Invalid("DEPENDS_ON", {"c.dependsOn": [{"containerName": "shine-api-gateway", "condition": "START"}]}),
]

PLATFORM = [
    Invalid("NETWORK_MODE", {"networkMode": "bridge"}, ("bridge", "awsvpc")),
    Invalid("NETWORK_MODE", {"networkMode": GONE}, ("missing", "awsvpc")),
    Invalid("LAUNCH_TYPE", {"requiresCompatibilities": ["EC2"]}, ("EC2", "FARGATE")),
    Invalid("LAUNCH_TYPE", {"requiresCompatibilities": []}, ("none", "FARGATE")),
    Invalid("LAUNCH_TYPE", {"requiresCompatibilities": GONE}, ("none", "FARGATE")),
    Invalid("FARGATE_SIZE", {"cpu": "1000"}, ("1000", "1024")),
    Invalid("FARGATE_SIZE", {"cpu": "32768"}, ("32768", "16384")),
    Invalid("FARGATE_SIZE", {"cpu": "one"}, ("one",)),
    Invalid("FARGATE_SIZE", {"cpu": GONE}, ("missing",)),
    Invalid("FARGATE_SIZE", {"memory": GONE}, ("missing",)),
    Invalid("FARGATE_SIZE", {"memory": "2 GiB"}, ("2 GiB",)),
    Invalid("FARGATE_SIZE", {"memory": "2 vCPU"}, ("2 vCPU",)),
    Invalid("FARGATE_SIZE", {"memory": "2000"}, ("2000", "2048")),
    Invalid("FARGATE_SIZE", {"memory": "9216"}, ("9216", "8192")),
    Invalid("FARGATE_SIZE", {"cpu": "256", "memory": "8192"}, ("8192", "256")),
    Invalid("FARGATE_SIZE", {"cpu": "8192", "memory": "17408"}, ("17408", "20480")),
    Invalid("MEMORY_BELOW_MINIMUM", {"cpu": "256", "memory": "1024"}, ("1024", "1472")),
    Invalid("MEMORY_BELOW_MINIMUM", {"c.memory": 1024}, ("1024", "1472")),
    Invalid("MEMORY_BELOW_MINIMUM", {"c.memory": 1471}, ("1471", "1472")),
    Invalid("CPU_BELOW_MINIMUM", {"cpu": "256"}, ("256", "512"), contract={"minimum__cpus": 0.5}),
    Invalid("CONTAINER_SHARE", {"c.memory": 4096}, ("4096", "2048")),
    Invalid("CONTAINER_SHARE", {"c.cpu": 2048}, ("2048", "1024")),
    Invalid("CONTAINER_SHARE", {"c.memory": 1536, "c.memoryReservation": 2000}, ("2000", "1536")),
    Invalid("ARCHITECTURE", {"runtimePlatform.cpuArchitecture": "ARM64"}, ("ARM64", "amd64")),
    Invalid("ARCHITECTURE", {"runtimePlatform": GONE}, ("X86_64", "arm64"), contract={"architecture": "arm64"}),
    Invalid(
        "OPERATING_SYSTEM", {"runtimePlatform.operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, ("WINDOWS", "LINUX")
    ),
    Invalid("ESSENTIAL", {"c.essential": False}, ("false",)),
    Invalid("FARGATE_REFUSES", {"c.privileged": True}, ("privileged",)),
    Invalid("FARGATE_REFUSES", {"c.links": ["db"]}, ("links",)),
    Invalid("FARGATE_REFUSES", {"c.hostname": "shine"}, ("hostname",)),
    Invalid("FARGATE_REFUSES", {"c.linuxParameters.capabilities.add": ["NET_ADMIN"]}, ("NET_ADMIN",)),
    Invalid("FARGATE_REFUSES", {"c.linuxParameters.sharedMemorySize": 64}, ("sharedMemorySize",)),
    Invalid("FARGATE_REFUSES", {"volumes.0.host": {"sourcePath": "/data"}}, ("/data",)),
    Invalid("FARGATE_REFUSES", {"volumes.0.dockerVolumeConfiguration": {"scope": "task"}}, ("docker",)),
    Invalid("FARGATE_REFUSES", {"pidMode": "host"}, ("host",)),
    Invalid("FARGATE_REFUSES", {"ipcMode": "host"}, ("host",)),
    Invalid("FARGATE_REFUSES", {"placementConstraints": [{"type": "memberOf", "expression": "a"}]}),
    Invalid("EPHEMERAL_STORAGE", {"ephemeralStorage.sizeInGiB": 20}, ("20", "21")),
    Invalid("EPHEMERAL_STORAGE", {"ephemeralStorage.sizeInGiB": 201}, ("201", "200")),
    Invalid("LOGS", {"c.logConfiguration": GONE}, level="WARN"),
    Invalid("LOGS", {"c.logConfiguration.logDriver": "json-file"}, ("json-file", "awslogs")),
    Invalid("LOGS", {"c.logConfiguration.options.awslogs-stream-prefix": GONE}, ("awslogs-stream-prefix",)),
    Invalid("LOGS", {"c.logConfiguration.options.awslogs-region": ""}, ("awslogs-region",)),
    Invalid("LOGS", {"c.logConfiguration.options": GONE}, ("awslogs-group",)),
]

PORTS = [
    Invalid("PORT_MISMATCH", {"c.portMappings.0.containerPort": 8080}, ("5000", "8080")),
    Invalid("PORT_MISMATCH", {"c.portMappings.0.containerPort": 0}, ("5000", "0")),
    Invalid("PORT_MISMATCH", {"c.portMappings.0.containerPort": 70000}, ("5000", "70000")),
    Invalid("PORT_MISMATCH", {"env.PORT": "8080", **urlopen("http://127.0.0.1:8080/health")}, ("5000", "8080")),
    Invalid("PORT_MISSING", {"c.portMappings": []}, ("5000",)),
    Invalid("PORT_MISSING", {"c.portMappings": GONE}, ("5000",)),
    Invalid("PORT_MISSING", {"c.portMappings": [{"protocol": "tcp"}]}, ("5000",)),
    Invalid(
        "PORT_MISSING",
        {"c.portMappings.0.containerPort": 8080, "containerDefinitions.1": ADMIN},
        ("which container serves", '"shine-api-gateway", "admin"', "5000"),
    ),
    Invalid(
        "PORT_MISMATCH",
        {"c.portMappings.0.containerPort": 8080, "containerDefinitions.1": ROUTER, **ROUTED},
        ("5000", "8080"),
    ),
    Invalid("HOST_PORT", {"c.portMappings.0.hostPort": 80}, ("80", "5000")),
    Invalid("HOST_PORT", {"c.portMappings.0.hostPort": 0}, ("0", "5000")),
    Invalid("PORT_PROTOCOL", {"c.portMappings.0.protocol": "udp"}, ("udp", "tcp")),
    Invalid("PORT_PROTOCOL", {"c.portMappings.1": {"containerPort": 5000}}, ("twice",)),
    Invalid("PORT_VALUE", {"env.PORT": "http"}, ("http", "5000")),
    Invalid("PORT_VALUE", {"env.PORT": "\\1", **shell("python check.py http://127.0.0.1:5000/health $PORT")}),
    Invalid("PORT_VALUE", {"env.PORT": "65536"}, ("65536", "5000")),
]

HEALTH = [
    Invalid("HEALTH_MISSING", {"c.healthCheck": GONE}, ("/health",), level="WARN"),
    Invalid("HEALTH_COMMAND", {"c.healthCheck.command": []}),
    Invalid("HEALTH_COMMAND", {"c.healthCheck.command": ["CMD"]}),
    Invalid("HEALTH_COMMAND", {"c.healthCheck.command": ["NONE"]}, ("NONE",)),
    Invalid("HEALTH_COMMAND", {"c.healthCheck.command": ["python", "-c", "pass"]}, ("python", "CMD")),
    Invalid("HEALTH_COMMAND", {"c.healthCheck.command": ["CMD", f"python -c 'x {HERE}/health'"]}),
    Invalid("HEALTH_COMMAND", {"c.healthCheck.command": ["CMD-SHELL", "python", "-c", "x"]}),
    Invalid("HEALTH_COMMAND", shell(f"python -c 'x {HERE}/health")),
    Invalid("HEALTH_EXECUTABLE", shell(f"curl -f {HERE}/health || exit 1"), ("curl", "python")),
    Invalid("HEALTH_EXECUTABLE", shell(f"wget -q --spider {HERE}/health"), ("wget", "python")),
    Invalid("HEALTH_EXECUTABLE", shell(f"test -d /tmp && timeout 3 /usr/bin/curl {HERE}/health"), ("curl",)),
    Invalid("HEALTH_EXECUTABLE", {"c.healthCheck.command": ["CMD", "curl", "-f", f"{HERE}/health"]}, ("curl",)),
    Invalid("HEALTH_EXECUTABLE", {"c.healthCheck.command": ["CMD", "sh", "-c", f"curl {HERE}/health"]}, ("curl",)),
    Invalid("HEALTH_EXECUTABLE", shell(f"/app/check {HERE}/health"), ("check", "python"), level="WARN"),
    Invalid("HEALTH_PORT", urlopen("http://127.0.0.1:8080/health"), ("8080", "5000")),
    Invalid("HEALTH_PORT", urlopen("http://localhost/health"), ("80", "5000")),
    Invalid("HEALTH_PORT", shell("python check.py localhost:${PORT}/health"), ("80", "5000")),
    Invalid(
        "HEALTH_PORT",
        shell(f"python -c \"{CLIENT}('localhost', 8080); c.request('GET', '/health')\""),
        ("8080", "5000"),
    ),
    Invalid("HEALTH_PATH", shell(f"python -c \"{CLIENT}('localhost', 5000); c.request('GET', '/')\""), ("/health",)),
    Invalid("HEALTH_PATH", urlopen(f"{HERE}/"), ('"/"', "/health")),
    Invalid("HEALTH_PATH", urlopen(HERE), ('"/"', "/health")),
    Invalid("HEALTH_PATH", urlopen(f"{HERE}/healthy"), ("/healthy", "/health")),
    Invalid("HEALTH_PATH", urlopen(f"{HERE}/version"), ("/version", "/health")),
    Invalid("HEALTH_WAITS_FOR_MODEL", urlopen(f"{HERE}/ready"), ("/ready", "/health")),
    Invalid("HEALTH_WAITS_FOR_MODEL", urlopen(f"{HERE}/readyz"), ("/readyz", "/health")),
    Invalid("HEALTH_ADDRESS", urlopen("https://127.0.0.1:5000/health"), ("https", "http")),
    Invalid("HEALTH_ADDRESS", urlopen("http://api.shine.example:5000/health"), ("api.shine.example",), level="WARN"),
    Invalid("HEALTH_RANGE", {"c.healthCheck.interval": 4}, ("4", "5")),
    Invalid("HEALTH_RANGE", {"c.healthCheck.interval": 301}, ("301", "300")),
    Invalid("HEALTH_RANGE", {"c.healthCheck.timeout": 1}, ("1", "2")),
    Invalid("HEALTH_RANGE", {"c.healthCheck.timeout": 61}, ("61", "60")),
    Invalid("HEALTH_RANGE", {"c.healthCheck.retries": 0}, ("0", "1")),
    Invalid("HEALTH_RANGE", {"c.healthCheck.retries": 11}, ("11", "10")),
    Invalid("HEALTH_RANGE", {"c.healthCheck.startPeriod": -1}, ("-1", "0")),
    Invalid("HEALTH_RANGE", {"c.healthCheck.startPeriod": 9999}, ("9999", "300")),
    Invalid("HEALTH_TIMEOUT", {"c.healthCheck.timeout": 4}, ("4 s",), level="WARN"),
    Invalid("HEALTH_START_PERIOD", {"c.healthCheck.startPeriod": 0}, ("0 s", "2.3"), level="WARN"),
    Invalid("HEALTH_START_PERIOD", {"c.healthCheck.startPeriod": GONE}, ("0 s", "2.3"), level="WARN"),
    Invalid("HEALTH_START_PERIOD", {}, ("90 s", "100 s"), contract={"seconds__start": 100}),
]

STOPPING = [
    Invalid("STOP_TIMEOUT_RANGE", {"c.stopTimeout": 121}, ("121", "120")),
    Invalid("STOP_TIMEOUT_RANGE", {"c.stopTimeout": 1}, ("1", "2")),
    Invalid("STOP_TIMEOUT", {"c.stopTimeout": 10}, ("10 s", "25 s")),
    Invalid("STOP_TIMEOUT", {"c.stopTimeout": 25}, ("25 s",)),
    Invalid("STOP_TIMEOUT", {"c.stopTimeout": GONE}, ("30 s", "40 s"), contract={"seconds__stop": 40}),
    Invalid("STOP_TIMEOUT", {"env.SHINE_REQUEST_DEADLINE_MS": "90000"}, ("60 s", "90 s")),
    Invalid("KEEP_ALIVE", {}, ("30 s", "60 s"), contract={"seconds__keep_alive": 30}, level="WARN"),
]

IMAGE = [
    Invalid("IMAGE_REFERENCE", {"c.image": GONE}),
    Invalid("IMAGE_REFERENCE", {"c.image": ""}),
    Invalid("IMAGE_REFERENCE", {"c.image": f"https://{REPOSITORY}:1.0.0"}, ("https",)),
    Invalid("IMAGE_REFERENCE", {"c.image": f"{REPOSITORY}@sha256:abc"}, ("sha256:abc",)),
    Invalid("IMAGE_REFERENCE", {"c.image": "Shine:1.0.0"}, ("Shine",)),
    Invalid("IMAGE_TAG_MOVES", {"c.image": REPOSITORY}, ("latest",)),
    Invalid("IMAGE_TAG_MOVES", {"c.image": f"{REPOSITORY}:latest"}, ("latest",)),
    Invalid("IMAGE_TAG_MOVES", {"c.image": f"{REPOSITORY}:simple"}, ("simple",)),
    Invalid("IMAGE_TAG_MOVES", {"c.image": f"{REPOSITORY}:hybrid"}, ("hybrid",)),
    Invalid("IMAGE_BY_TAG", {"c.image": f"{REPOSITORY}:1.0.0"}, ("1.0.0",), level="WARN"),
    Invalid("COMMAND", {"c.command": ["python", "app.py"]}, ("python", "serve"), level="WARN"),
    Invalid("COMMAND", {"c.entryPoint": ["sh", "-c"]}, ("sh", "serve"), level="WARN"),
]

ROLES = [
    Invalid("ROLE_ARN", {"executionRoleArn": "arn:aws:iam::123456789012:user/shine"}, ("user/shine",)),
    Invalid("ROLE_ARN", {"taskRoleArn": "arn:aws:iam::1234:role/shine"}, ("1234",)),
    Invalid("EXECUTION_ROLE_MISSING", {"executionRoleArn": GONE}),
    Invalid("EXECUTION_ROLE_MISSING", {"executionRoleArn": ""}),
    Invalid("TASK_ROLE_MISSING", {"taskRoleArn": GONE}, ("s3://",), phase="foundation"),
    Invalid("ROLES_SAME", {"taskRoleArn": ROLE + "shine-execution"}, ("shine-execution",), level="WARN"),
]

SETTINGS = [
    Invalid("SETTING_UNKNOWN", {"env.SHINE_PHSAE": "hybrid"}, ("SHINE_PHSAE", "SHINE_PHASE")),
    Invalid("SETTING_UNKNOWN", {"env.SHINE_COLOUR": "red"}, ("SHINE_COLOUR",)),
    Invalid("SETTING_UNKNOWN", {"env.shine_threads": "2"}, ("shine_threads", "SHINE_THREADS")),
    Invalid("SETTING_UNKNOWN", {"secret.SHINE_API_KEY": STORED}, ("SHINE_API_KEY", "SHINE_API_KEYS")),
    Invalid("SETTING_VALUE", {"env.SHINE_PHASE": "phase2"}, ("phase2", "hybrid")),
    Invalid("SETTING_VALUE", {"env.SHINE_PHASE": "Hybrid"}, ("Hybrid", "hybrid")),
    Invalid("SETTING_VALUE", {"env.SHINE_REQUIRE_MODEL": "maybe"}, ("maybe", "true")),
    Invalid("SETTING_VALUE", {"env.SHINE_MAX_PENDING": "0"}, ("0", "at least 1")),
    Invalid("SETTING_VALUE", {"env.SHINE_MAX_PENDING": "many"}, ("many", "whole number")),
    Invalid("SETTING_VALUE", {"env.SHINE_MAX_PENDING": "1.5"}, ("1.5", "whole number")),
    Invalid("SETTING_VALUE", {"env.SHINE_MAX_BATCH_SIZE": "1"}, ("1", "at least 2")),
    Invalid("SETTING_VALUE", {"env.SHINE_MAX_BATCH_SIZE": "65"}, ("65", "at most 64")),
    Invalid("SETTING_VALUE", {"env.SHINE_MAX_BODY_MIB": "0"}, ("0", "above 0")),
    Invalid("SETTING_VALUE", {"env.SHINE_MAX_MEGAPIXELS": "1001"}, ("1001", "1000")),
    Invalid("SETTING_VALUE", {"env.SHINE_WEIGHTS_SHA256": "AB" * 32}, ("ABAB",)),
    Invalid("SETTING_VALUE", {"env.SHINE_QUALITY": "high"}, ("high", "strict")),
    Invalid("SETTINGS_REFUSED", {"env.SHINE_LOG_FORMAT": "text"}, ("SHINE_LOG_EMF", "text")),
    Invalid("SETTINGS_REFUSED", {"env.SHINE_RATE_PER_MINUTE": "60"}, ("SHINE_API_KEYS",)),
    Invalid("SETTINGS_REFUSED", {"env.SHINE_CORS_ORIGINS": "*"}, ("origin",)),
    Invalid("SETTINGS_REFUSED", {"env.SHINE_CORS_ORIGINS": "https://shine.example/"}, ("https://shine.example/",)),
    Invalid("SETTING_TWICE", {"c.environment.3": {"name": "SHINE_PHASE", "value": "hybrid"}}, ("SHINE_PHASE", "2")),
    Invalid("SETTING_TWICE", {"env.SHINE_THREADS": "2", "secret.SHINE_THREADS": STORED}, ("SHINE_THREADS",)),
    Invalid("VARIABLE_NAME", {"c.environment.3": {"value": "x"}}),
    Invalid("VARIABLE_NAME", {"env.A=B": "x"}, ("A=B",)),
    Invalid("ENVIRONMENT_FILE", {"c.environmentFiles": [FROM_FILE]}, ("x.env",), level="WARN"),
]

SECRETS = [
    Invalid("SECRET_IN_PLAIN", {"env.SHINE_API_KEYS": "k" * 40}, ("SHINE_API_KEYS",)),
    Invalid("SECRET_IN_PLAIN", {"env.SHINE_API_KEYS": "k" * 40, "c.secrets": []}, phase="full"),
    Invalid("SECRET_IN_PLAIN", {"env.AWS_SECRET_ACCESS_KEY": "x" * 40}, ("AWS_SECRET_ACCESS_KEY",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.DATABASE_PASSWORD": "hunter2"}, ("DATABASE_PASSWORD",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.GITHUB_TOKEN": "x"}, ("GITHUB_TOKEN",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"containerDefinitions.1": SIDECAR}, ("PROXY_PASSWORD",), level="WARN"),
    Invalid("SECRET_ARN", {"secret.SHINE_API_KEYS": STORED + ":api_keys"}, ("three colons",), phase="full"),
    Invalid("SECRET_ARN", {"secret.SHINE_API_KEYS": STORED + ":api_keys:"}, ("three colons",), phase="full"),
    Invalid("SECRET_ARN", {"secret.SHINE_API_KEYS": "arn:aws:s3:::bucket/keys"}, ("s3",), phase="full"),
    Invalid("SECRET_ARN", {"secret.SHINE_API_KEYS": "my secret"}, ("my secret",), phase="full"),
]

PHASES = [
    Invalid("PHASE", {}, ("hybrid", "full"), meant="full"),
    Invalid("PHASE", {"env.SHINE_PHASE": GONE}, ("hybrid", "simple"), meant="simple"),
    Invalid("PHASE_WEIGHTS", {"env.SHINE_WEIGHTS_URI": GONE}, ("not set", "foundation"), phase="foundation"),
    Invalid("PHASE_WEIGHTS", {"env.SHINE_WEIGHTS_URI": ""}, ("not set", "full"), phase="full"),
    Invalid("PHASE_WEIGHTS", {"env.SHINE_WEIGHTS_URI": "/models/skin"}, ("/models/skin", "s3://"), phase="foundation"),
    Invalid("PHASE_PIN", {"env.SHINE_WEIGHTS_SHA256": GONE}, ("foundation",), phase="foundation"),
    Invalid("PHASE_PIN", {"env.SHINE_WEIGHTS_SHA256": GONE}, ("full",), phase="full"),
    Invalid("PHASE_KEYS", {"c.secrets": [], "env.SHINE_RATE_PER_MINUTE": GONE}, ("full",), phase="full"),
    Invalid("MODEL_REQUIRED", {"env.SHINE_REQUIRE_MODEL": "true"}, ("true", "simple"), phase="simple"),
    Invalid("WEIGHTS_IGNORED", {"env.SHINE_WEIGHTS_URI": "s3://b/w"}, ("s3://b/w",), phase="simple", level="WARN"),
]

FILES = [
    Invalid("ROOT_WRITABLE", {"c.readonlyRootFilesystem": False}, ("/tmp",), level="WARN"),
    Invalid("ROOT_WRITABLE", {"c.readonlyRootFilesystem": GONE}, ("/tmp",), level="WARN"),
    Invalid("NOT_WRITABLE", {"c.mountPoints": []}, ("/tmp",)),
    Invalid("NOT_WRITABLE", {"c.mountPoints": GONE, "volumes": GONE}, ("/tmp",)),
    Invalid("NOT_WRITABLE", {"c.mountPoints.0.readOnly": True}, ("/tmp",)),
    Invalid("NOT_WRITABLE", {"c.mountPoints.0.containerPath": "/data"}, ("/tmp",)),
    Invalid("FOLDER_NOT_WRITABLE", {"env.SHINE_CACHE_DIR": "/var/cache/shine"}, ("/var/cache/shine", "/tmp")),
    Invalid("FOLDER_NOT_WRITABLE", {"env.BENTOML_HOME": "/home/bentoml"}, ("/home/bentoml", "/tmp")),
    Invalid("MOUNT", {"volumes": []}, ('"tmp"', "none")),
    Invalid("MOUNT", {"c.mountPoints.0.sourceVolume": "temp"}, ('"temp"', '"tmp"')),
    Invalid("MOUNT", {"c.mountPoints.1": {"sourceVolume": "tmp", "containerPath": "cache"}}, ("cache",)),
    Invalid("MOUNT", {"c.mountPoints.1": {"sourceVolume": "tmp", "containerPath": "/tmp"}}, ("twice",)),
    Invalid("TMPFS", {"c.linuxParameters.tmpfs": [{"containerPath": "/run", "size": 64}]}, ("/run",), level="WARN"),
    Invalid("USER_ROOT", {"c.user": "root"}, ("root", "10001"), level="WARN"),
    Invalid("USER_ROOT", {"c.user": "0:0"}, ("0:0", "10001"), level="WARN"),
    Invalid("ULIMITS", {"c.ulimits.0.softLimit": 20000}, ("20000", "16384")),
]

BESIDE = [  # the serving container
    Invalid("DEPENDS_ON", {**helper(), **waits("HEALTHY")}, ("helper", "no healthCheck")),
    Invalid("DEPENDS_ON", {**helper(essential=True), **waits("COMPLETE")}, ("helper", "essential")),
    Invalid("DEPENDS_ON", {**helper(essential=True), **waits("SUCCESS")}, ("helper", "essential")),
    Invalid(
        "DEPENDS_ON",
        {**helper(dependsOn=[{"containerName": "shine-api-gateway", "condition": "START"}]), **waits("START")},
        ("circle", "helper"),
    ),
    Invalid("RESTART_POLICY", {"c.restartPolicy": {"enabled": True, "restartAttemptPeriod": 59}}, ("59", "60")),
    Invalid("RESTART_POLICY", helper(restartPolicy={"enabled": True, "restartAttemptPeriod": 1801}), ("1801", "1800")),
    Invalid("RESTART_POLICY", {"c.restartPolicy": {"enabled": True, "ignoredExitCodes": [1] * 51}}, ("51", "50")),
    Invalid("CONTAINER_MEMORY", helper(memory=4), ("4 MiB", "helper")),
    Invalid("CONTAINER_SHARE", {**helper(cpu=512), "c.cpu": 768}, ("1280", "1024")),
    Invalid("CONTAINER_SHARE", {"c.memory": 2049, "c.memoryReservation": 512}, ("2049", "2048")),
    Invalid(
        "CONTAINER_SHARE",
        {**helper(memory=1024, memoryReservation=64), "c.memory": 1536, "c.memoryReservation": 512},
        ("2560", "2048"),
        level="WARN",
    ),
    Invalid("ESSENTIAL", {**helper(), "c.essential": False}, ("every container",)),
    Invalid("LOGS", helper(logConfiguration={"logDriver": "json-file"}), ("helper", "json-file")),
    Invalid("LOGS", helper(logConfiguration={"logDriver": "splunk", "options": {"splunk-url": "x"}}), ("token",)),
    Invalid("LOGS", {"c.logConfiguration": {"logDriver": "splunk", "secretOptions": []}}, ("token", "splunk-url")),
    Invalid("LOG_GROUP_CREATE", {"c.logConfiguration.options.awslogs-create-group": "true"}, level="WARN"),
    Invalid("LOG_GROUP_CREATE", {"c.logConfiguration.options.awslogs-group": GONE}, level="WARN"),
    Invalid(
        "LOG_GROUP_CREATE",
        helper(logConfiguration={"logDriver": "awslogs", "options": {**AWSLOGS, "awslogs-create-group": "true"}}),
        ("helper", "logs:CreateLogGroup"),
        level="WARN",
    ),
    Invalid("FIRELENS", ROUTED, ("shine-api-gateway", "firelensConfiguration")),
    Invalid("FIRELENS", helper(logConfiguration={"logDriver": "awsfirelens"}), ("helper",)),
    Invalid("FIRELENS", {"containerDefinitions.1": ROUTER}, ("log_router", "awsfirelens"), level="WARN"),
    Invalid(
        "FIRELENS",
        {
            **ROUTED,
            "containerDefinitions.1": ROUTER,
            "containerDefinitions.2": {
                **ROUTER,
                "name": "second",
                "portMappings": [],
            },
        },
        ("log_router", "second"),
    ),
    Invalid("FIRELENS", {**ROUTED, "containerDefinitions.1": {**ROUTER, **ROUTED_BY_ITSELF}}, ("itself",)),
    Invalid(
        "FIRELENS",
        {
            **ROUTED,
            "containerDefinitions.1": {
                **ROUTER,
                "firelensConfiguration": {
                    "type": "fluentbit",
                    "options": {"config-file-type": "s3", "config-file-value": "arn:aws:s3:::b/f.conf"},
                },
            },
        },
        ("s3", "file"),
    ),
    Invalid(
        "FIRELENS",
        {
            **ROUTED,
            "containerDefinitions.1": {
                **ROUTER,
                "firelensConfiguration": {
                    "type": "fluentbit",
                    "options": {"config-file-type": "file"},
                },
            },
        },
        ("config-file-value",),
    ),
    Invalid("HOST_PORT", helper(portMappings=[{"containerPort": 9000, "hostPort": 80}]), ("80", "9000", "helper")),
    Invalid("PORT_SHARED", helper(portMappings=[{"containerPort": 5000}]), ("helper", "5000")),
    Invalid("PORT_RANGE", helper(portMappings=[{"containerPort": 70000}]), ("helper", "70000")),
    Invalid("PORT_PROTOCOL", helper(portMappings=[{"containerPort": 53}, {"containerPort": 53}]), ("helper", "53")),
    Invalid("STOP_TIMEOUT_RANGE", helper(stopTimeout=300), ("helper", "300")),
    Invalid("STOP_TIMEOUT_RANGE", {"c.startTimeout": 180}, ("startTimeout", "180")),
    Invalid("HEALTH_COMMAND", helper(healthCheck={"command": ["curl", "-f", "http://localhost/"]}), ("helper", "curl")),
    Invalid("HEALTH_RANGE", helper(healthCheck={**CHECKED, "interval": 2}), ("helper", "2")),
    Invalid("HEALTH_ALWAYS_PASSES", shell("exit 0"), ("exit 0",), level="WARN"),
    Invalid("HEALTH_ALWAYS_PASSES", helper(healthCheck={"command": ["CMD", "/bin/true"]}), ("true",), level="WARN"),
    Invalid("HEALTH_ALWAYS_PASSES", shell(f"python check.py {HERE}/health || true"), ("true",), level="WARN"),
    Invalid("HEALTH_ALWAYS_PASSES", shell(f"python check.py {HERE}/health; exit 0"), ("exit 0",), level="WARN"),
    Invalid("HEALTH_INTERVAL", {"c.healthCheck.interval": 5, "c.healthCheck.timeout": 30}, ("5 s",), level="WARN"),
    Invalid("HEALTH_INTERVAL", helper(healthCheck={**CHECKED, "timeout": 31}), ("30 s", "31 s"), level="WARN"),
    Invalid("IMAGE_REFERENCE", helper(image="nginx:"), ("helper", "nginx:")),
    Invalid("IMAGE_TAG_MOVES", helper(image="nginx:latest"), ("helper", "latest"), level="WARN"),
    Invalid("IMAGE_TAG_MOVES", helper(image="nginx"), ("helper", "latest"), level="WARN"),
    Invalid(
        "IMAGE_REGION",
        {"c.image": f"{REPOSITORY.replace('us-east-1', 'eu-west-1')}@{DIGEST}"},
        ("eu-west-1", "us-east-1"),
        level="WARN",
    ),
    Invalid("MOUNT", helper(mountPoints=[{"sourceVolume": "data", "containerPath": "/data"}]), ("helper", "data")),
    Invalid("MOUNT", helper(volumesFrom=[{"sourceContainer": "web"}]), ("helper", "web")),
    Invalid("VOLUME", {"volumes.1": {"name": "tmp"}}, ("Two", "tmp")),
    Invalid("VOLUME", volume(configuredAtLaunch=True, efsVolumeConfiguration=EFS), ("configuredAtLaunch", "efs")),
    Invalid("VOLUME", {"volumes.1": {"name": "my data"}}, ("my data",)),
    Invalid("EFS_VOLUME", volume(efsVolumeConfiguration={"fileSystemId": "my-efs"}), ("my-efs",)),
    Invalid("EFS_VOLUME", volume(efsVolumeConfiguration={**EFS, **POINT, "rootDirectory": "/data"}), ("/data", "root")),
    Invalid("EFS_VOLUME", volume(efsVolumeConfiguration={**EFS, "rootDirectory": "data"}), ("data", "absolute")),
    Invalid("EFS_VOLUME", volume(efsVolumeConfiguration={**EFS, **POINT, "transitEncryption": "DISABLED"}), ()),
    Invalid(
        "EFS_VOLUME",
        volume(efsVolumeConfiguration={"fileSystemId": "fs-01234567", "authorizationConfig": {"iam": "ENABLED"}}),
        ("IAM", "transitEncryption"),
    ),
    Invalid(
        "EFS_VOLUME",
        {**volume(efsVolumeConfiguration={**EFS, "authorizationConfig": {"iam": "ENABLED"}}), "taskRoleArn": GONE},
        ("role",),
        level="WARN",
    ),
    Invalid("FSX_VOLUME", volume(fsxWindowsFileServerVolumeConfiguration=FSX), ("Fargate",)),
    Invalid("ULIMITS", helper(ulimits=[{"name": "nofile", "softLimit": 2, "hardLimit": 1}]), ("helper", "2", "1")),
    Invalid("ROLE_ACCOUNT", {"taskRoleArn": "arn:aws:iam::210987654321:role/shine"}, ("210987654321",), level="WARN"),
    Invalid("ENVIRONMENT_FILE", {"c.environmentFiles": [{**FROM_FILE, "value": "arn:aws:s3:::b/x.txt"}]}, ("x.txt",)),
    Invalid("ENVIRONMENT_FILE", helper(environmentFiles=[{**FROM_FILE, "value": "s3://b/x.env"}]), ("s3://", "helper")),
    Invalid("SETTING_IGNORED", {"env.ENABLE_ML_MODEL": "1", "env.S3_BUCKET": "b"}, ("ENABLE_ML", "S3"), level="WARN"),
    Invalid("SETTING_IGNORED", {"env.FLASK_ENV": "x", "env.ML_MODE": "on"}, ("FLASK_ENV", "ML_MODE"), level="WARN"),
    Invalid("SETTING_TWICE", helper(environment=[{"name": "A", "value": "1"}] * 2), ("helper", "A"), level="WARN"),
    Invalid(
        "SETTING_TWICE",
        helper(environment=[{"name": "A", "value": "1"}], secrets=[{"name": "A", "valueFrom": STORED}]),
        ("helper", "both"),
    ),
    Invalid("VARIABLE_NAME", helper(environment=[{"name": " ", "value": "1"}]), ("helper",)),
    Invalid("PLACEHOLDER", {"env.DB_HOST": "${DB_HOST}"}, ("DB_HOST",), level="WARN"),
    Invalid("PLACEHOLDER", helper(environment=[{"name": "URL", "value": "<the-url>"}]), ("<the-url>",), level="WARN"),
    Invalid("PLACEHOLDER", {"env.A": "{{ a }}", "env.B": "__B__"}, ('"A"', '"B"'), level="WARN"),
    Invalid("PLACEHOLDER", {"env.QUEUE": "https://sqs.us-east-1.amazonaws.com/ACCOUNT_ID/q"}, ("QUEUE",), level="WARN"),
    Invalid("PLACEHOLDER", {"env.OTLP": "http://<MONITORING_HOST>:4318"}, ("OTLP",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.SMTP_USER": "AKIA" + "IOSFODNN7EXAMPLE"}, ("SMTP_USER", "AWS key"), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.DATABASE_URL": "postgres://app:h2nter@db/x"}, ("DATABASE_URL",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.TLS": "-----BEGIN RSA PRIVATE KEY-----\nMII"}, ("private key",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.JDBC": "jdbc:x://db/y?user=a&password=h2nter"}, ("JDBC",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"secret.A": "AKIA" + "IOSFODNN7EXAMPLE"}, ("AWS key",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.SECRET_KEY_BASE": "0f" * 32}, ("SECRET_KEY_BASE",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.DB_PASS": "hunter2"}, ("DB_PASS",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", {"env.dbPassword": "hunter2"}, ("dbPassword",), level="WARN"),
    Invalid("SECRET_IN_PLAIN", helper(command=["--url", "redis://:h2nter@cache:6379"]), ("helper",), level="WARN"),
    Invalid(
        "SECRET_IN_PLAIN",
        {
            "containerDefinitions.1": ROUTER,
            "c.logConfiguration": {"logDriver": "awsfirelens", "options": {"Name": "datadog", "apikey": "a1"}},
        },
        ("apikey",),
        level="WARN",
    ),
    Invalid("SECRET_ARN", helper(secrets=[{"name": "A", "valueFrom": "my secret"}]), ("helper", "my secret")),
    Invalid("FIELD_TYPE", {"pidMode": None}, ("1 key", "pidMode"), level="WARN"),
    Invalid("FIELD_TYPE", {"pidMode": None, "c.command": None, "c.links": None}, ("3 keys",), level="WARN"),
]

INVALID_TASKDEFS = [
    *SHAPE, *PLATFORM, *PORTS, *HEALTH, *STOPPING, *IMAGE, *ROLES, *SETTINGS, *SECRETS, *PHASES, *FILES, *BESIDE,
]  # fmt: skip
NAMES = [f"{place}-{row.code}" for place, row in enumerate(INVALID_TASKDEFS)]
