"""Every code of a finding: its title and why it matters. `trail explain CODE` prints them.

A code that a check of the task definition yields is declared beside that check (`@check`, deploy/verify/registry.py);
all others are declared here or beside the function that yields them. A title is the rule as it should be.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """A code of findings.

    Attributes:
        code: stable name.
        title: the rule, as a sentence without its full stop.
        why: what happens where the rule is broken.
        incident: the point of the incident behind this tool (1 to 12) that the check would have shown.
    """

    code: str
    title: str
    why: str
    incident: int | None = None


CODES: dict[str, Code] = {}


def declare(code: str, title: str, why: str, incident: int | None = None) -> Code:
    """Add a code to the catalog.

    Raises:
        ValueError: it is in the catalog already.
    """
    if code in CODES:
        raise ValueError(f"{code} is declared twice")
    CODES[code] = Code(code, title, why, incident)
    return CODES[code]


def declare_all(texts: dict[str, str]) -> dict[str, Code]:
    """Add codes by one text each: its first sentence is the title, the rest says why."""
    declared = {}
    for code, text in texts.items():
        title, _, why = text.partition(". ")
        declared[code] = declare(code, title.rstrip("."), why or text)
    return declared


# --- what ends a command

INPUT = declare(
    "INPUT_UNUSABLE",
    "Plan, contract and task definition can be read",
    "A file is missing, empty, too large, in an unknown encoding, not JSON or YAML, or it holds something else. "
    "Nothing was checked.",
)
USAGE = declare(
    "USAGE_WRONG",
    "The command line names a command and options that exist",
    "Nothing was checked; each command has --help.",
)
INTERRUPTED = declare(
    "INTERRUPTED",
    "A command runs to its end",
    "Ctrl-C, or a signal from CI, ended it. What AWS has begun goes on there; `trail resume` continues a rollout.",
)
NOT_CONFIRMED = declare(
    "NOT_CONFIRMED",
    "The operator confirms the change",
    "Without a yes nothing is changed. Where there is no terminal, pass --yes. Nothing was changed.",
)
RECORD = declare(
    "RECORD_UNUSABLE",
    "The trail record can be read and written",
    "The record says which releases are proven, and so where a rollback goes; without it there is no rollout. S3 did "
    "not answer, or the object is not a record, or it is the record of another service.",
)
ROLLOUT = declare(
    "ROLLOUT_REFUSED",
    "A rollout can begin",
    "There is nothing to do for these arguments, or AWS refused the first step. Nothing was changed.",
)
GATE = declare(
    "GATE_FAILED",
    "All gates of the phase pass",
    "The deployment completed, but it does not do what the phase demands; the last proven release runs again.",
)
BACK = declare(
    "ROLLBACK_FAILED",
    "A rollback to the last proven release succeeds",
    "A deployment failed, and its rollback failed too. An operator has to act now.",
)
OTHERS = declare(
    "SOMEBODY_ELSE",
    "Nobody else rolls out at the same time",
    "Another deployment is running, or another attempt holds the lock; neither was changed.",
)

# --- parts of preflight that did not run

IMAGE = declare(
    "IMAGE_ON_TRIAL",
    "The image was run and behaved as its contract says",
    "A task definition can be right and the image wrong. Only a run of the image shows on which port it listens, what "
    "its health path answers, and whether a dependency is missing.",
    10,
)
ACCOUNT = declare(
    "ACCOUNT_ASKED",
    "The AWS resources that the rollout needs were checked",
    "Cluster, service, roles, log group, target group, security groups and subnets must exist and agree with each "
    "other. Otherwise the deployment cannot succeed.",
    1,
)
DIGEST = declare(
    "DIGEST_NAMED",
    "The image of this rollout is named by its digest",
    "Without a digest the task definition was checked with a digest of zeros, and cannot be registered.",
    9,
)

# --- the image, while it runs in a container

declare_all(
    {
        "TRIAL_ENGINE": "A Docker engine runs the image. Without one, or when it goes away, the image was not run, or "
        "not to the end.",
        "TRIAL_IMAGE": "The image is on this machine or can be pulled, under the digest that the task definition "
        "names.",
        "TRIAL_IMAGE_MISSING": "The image is on this machine or can be pulled. ECS could not pull it either.",
        "TRIAL_ARCHITECTURE": "The image is built for the task's architecture. Otherwise the container ends at once "
        "with `exec format error`.",
        "TRIAL_SKIPPED": "The image can be run on this machine. It was not run: it is built for another architecture, "
        "or it cannot be determined which container serves.",
        "TRIAL_REFUSED": "The Docker engine can start the container. It refuses, for example, an entry point that does "
        "not exist.",
        "TRIAL_EXITED": "The container keeps running. ECS would start a container that ends again and again.",
        "TRIAL_MEMORY_SHORT": "The task's memory is enough. The kernel killed the container at the task's memory "
        "limit.",
        "TRIAL_START": "The container answers within its start period.",
        "TRIAL_START_SLOW": "The container answers within its start period. After the start period ECS counts failed "
        "health checks, and then stops the task.",
        "TRIAL_START_NEVER": "The container listens on a port. No port was opened within the whole waiting time.",
        "TRIAL_PORT": "The container listens on the port that contract and task definition name.",
        "TRIAL_PORT_OTHER": "The container listens on the port of its contract. Otherwise load balancer and health "
        "check send requests to a port on which nothing listens.",
        "TRIAL_PORT_MAPPED": "The task definition maps the port on which the container listens. Otherwise the load "
        "balancer cannot reach the service.",
        "TRIAL_LOOPBACK": "The container listens on all addresses. A server that listens on 127.0.0.1 can be reached "
        "from inside the container only.",
        "TRIAL_HEALTH": "The health path answers 200.",
        "TRIAL_HEALTH_STATUS": "The health path answers 200. Otherwise every target is unhealthy, and ECS stops every "
        "task.",
        "TRIAL_COMMAND": "The task definition's health command passes inside the container.",
        "TRIAL_COMMAND_NONE": "The task definition has a health command. ECS ignores the HEALTHCHECK of an image; "
        "without a health command only the load balancer checks the task.",
        "TRIAL_COMMAND_MISSING": "The health command's program is installed in the image. Otherwise the health check "
        "never passes.",
        "TRIAL_COMMAND_FAILED": "The health command passes inside the container. ECS stops a task whose health command "
        "fails.",
        "TRIAL_COMMAND_SLOW": "The health command ends within its timeout. A slower command counts as failed.",
        "TRIAL_EXECUTABLES": "The image's programs for health commands are known. The finding lists those that are "
        "often used and are installed.",
        "TRIAL_USER": "The container runs as the contract's user.",
        "TRIAL_USER_OTHER": "The container runs as the contract's user. File permissions and limits are made for that "
        "user.",
        "TRIAL_ROOT": "The container does not run as root. An attacker who escapes a process of root is root.",
        "TRIAL_WRITES": "The container writes to the contract's writable paths only. The root file system is "
        "read-only.",
        "TRIAL_MEMORY": "The idle container leaves memory free under the task's limit.",
        "TRIAL_MEMORY_TIGHT": "The idle container leaves memory free under the task's limit. Photos need memory too; a "
        "task that is nearly full when idle is killed under load.",
        "TRIAL_PHOTO": "The container analyzes a photo. One probe photo is sent.",
        "TRIAL_PHOTO_FAILED": "The container analyzes a photo. Health checks pass and the first photo fails: every "
        "user would see the error, but no health check would.",
        "TRIAL_STOP": "The container stops by itself after SIGTERM.",
        "TRIAL_STOP_SLOW": "The container stops within stopTimeout. After that ECS kills the task together with its "
        "requests in flight.",
    }
)

# --- the AWS account

ACCOUNT_CODES = declare_all(
    {
        # --- calls to AWS
        "CREDENTIALS": "AWS accepts the credentials. Without valid credentials nothing in the account can be checked.",
        "AWS_UNREACHABLE": "The AWS endpoints answer. What the finding names was not checked.",
        "AWS_THROTTLED": "AWS answers within preflight's retries. AWS limits the rate of calls; preflight waits and "
        "tries again, but not forever.",
        "AWS_REFUSED": "AWS answers every read call. A call failed with an error that is neither a missing permission "
        "nor a missing resource.",
        "AWS_UNFORESEEN": "AWS answers in the form that preflight knows. One check could not read an answer, the plan "
        "or the task definition; the other findings stand.",
        "PERMISSION_MISSING": "The credentials may read what preflight checks. The finding names the missing action "
        "and a policy statement that allows it; all of these actions only read.",
        "ACCOUNT": "The credentials belong to the plan's account.",
        "ACCOUNT_WRONG": "The credentials belong to the plan's account. Otherwise everything would be searched for, "
        "and rolled out, in another account.",
        # --- cluster and service
        "CLUSTER": "The cluster is active.",
        "CLUSTER_MISSING": "The cluster exists. Without it the service cannot exist, and nothing after it can be "
        "checked.",
        "CLUSTER_INACTIVE": "The cluster is active. Another cluster starts no tasks.",
        "SERVICE": "The service exists with the plan's target group, or the rollout will create it.",
        "SERVICE_DRAINING": "The service is not being deleted. Until the deletion is complete the service can neither "
        "be updated nor created again.",
        "SERVICE_CONTROLLER": "The service has the deployment controller ECS. With CODE_DEPLOY or EXTERNAL, "
        "UpdateService starts no rolling deployment.",
        "SERVICE_TARGET_GROUP": "The service uses the plan's target group. Otherwise new tasks are registered with "
        "another target group than the one that the gates check.",
        "SERVICE_CONTAINER": "The service's load balancer names a container of the task definition. ECS registers the "
        "container by its name, and refuses the deployment where it does not exist.",
        "SERVICE_PORT": "The service's load balancer names the image's port. Otherwise it sends requests to a port on "
        "which nothing listens.",
        "DEPLOYMENT": "No other deployment is in progress.",
        "DEPLOYMENT_RUNNING": "No other deployment is in progress. A second deployment would replace it before it is "
        "proven; somebody else may be working on the service.",
        "DEPLOYMENT_FAILED": "The last deployment did not fail. Until its cause is removed the next one will fail too.",
        # --- roles
        "ROLES": "Task role and execution role differ.",
        "ROLES_SHARED": "Task role and execution role differ. With one role for both, the service may do all that ECS "
        "does for it: read every secret and pull every image.",
        "EXECUTION_ROLE": "The execution role exists and tasks can assume it.",
        "EXECUTION_ROLE_TRUST": "Tasks can assume the execution role. Its trust policy must name "
        "ecs-tasks.amazonaws.com.",
        "EXECUTION_ROLE_MAY": "The execution role may pull the image, write the log and read the secrets.",
        "EXECUTION_ROLE_MAY_NOT": "The execution role may pull the image, write the log and read the secrets. "
        "Otherwise tasks stop before they start, with ResourceInitializationError or CannotPullContainerError.",
        "TASK_ROLE": "The task role exists and tasks can assume it.",
        "TASK_ROLE_TRUST": "Tasks can assume the task role. Its trust policy must name ecs-tasks.amazonaws.com.",
        "TASK_ROLE_MAY": "The task role may read the weights.",
        "TASK_ROLE_MAY_NOT": "The task role may read the weights. Otherwise the service answers by heuristics only. "
        "Without s3:ListBucket, S3 reports missing weights as forbidden.",
        # --- image, log, secrets, weights, quota
        "IMAGE": "The image is in its repository under the digest of the task definition.",
        "IMAGE_MISSING": "The image is in its repository. Otherwise ECS tries to pull it again and again "
        "(CannotPullContainerError).",
        "IMAGE_TAG": "The image is named by its digest. A tag can be moved: two tasks of one revision may then run "
        "different images, and a rollback is ambiguous.",
        "IMAGE_REPOSITORY": "The image comes from the plan's repository. The task definition names another one.",
        "REPOSITORY_MISSING": "The image's repository exists. Without it ECS cannot pull the image.",
        "REPOSITORY_MUTABLE": "Tags of the repository are immutable. Then a tag always names the image that was "
        "proven under it.",
        "LOG_GROUP": "The log group exists and has a retention.",
        "LOG_GROUP_MISSING": "The log group exists. Without it a task stops before it starts, and only its "
        "stoppedReason says so.",
        "LOG_GROUP_OTHER": "The task definition logs to the plan's log group. Otherwise the gates search a log group "
        "to which nothing is written.",
        "LOG_RETENTION": "The log group has a retention. Without one, logs are stored and paid for forever.",
        "SECRET": "The secret exists. Its value is never shown.",
        "SECRET_MISSING": "The secret exists. ECS reads secrets before it starts the container; a missing secret stops "
        "every task.",
        "SECRET_DELETED": "The secret is not scheduled for deletion. Such a secret cannot be read.",
        "SECRET_KEY_MISSING": "The secret holds the JSON key that its ARN names. Otherwise tasks stop before they "
        "start.",
        "WEIGHTS": "The pinned weights are in S3 where the service searches for them.",
        "WEIGHTS_BUCKET": "The bucket of the weights exists. Without it the service cannot load the weights.",
        "WEIGHTS_MISSING": "The pinned manifest is in S3. The service loads only the pinned manifest; without it the "
        "answers are degraded.",
        "WEIGHTS_PIN": "The manifest has the pinned sha256. The service refuses any other manifest.",
        "WEIGHTS_CORRUPT": "The manifest and current.json can be read. The service could not read them either.",
        "WEIGHTS_SIZE": "Every file of the bundle is complete. The service refuses a bundle with a missing or cut "
        "file.",
        "QUOTA": "The account's quota of Fargate CPUs is enough for a deployment of this service.",
        "QUOTA_CPUS": "The account's quota of Fargate CPUs is enough for a deployment of this service. Beyond the "
        "quota no task starts, and the deployment hangs.",
        # --- load balancer
        "TARGET_GROUP": "The target group fits the image.",
        "TARGET_GROUP_MISSING": "The target group exists. Without it the service cannot be created.",
        "TARGET_TYPE": "The target group has the type ip. Tasks in awsvpc mode have their own addresses; the type "
        "instance cannot hold them.",
        "TARGET_PROTOCOL": "The target group uses HTTP/1.1. The server understands no other protocol.",
        "TARGET_PORT": "The target group's default port is the image's port. ECS registers the container's port "
        "anyway; a different default only misleads people.",
        "TARGET_HEALTH_PORT": "The target group checks health on the image's port. Nothing listens on another port.",
        "TARGET_PATH": "The target group checks the image's health path. A path that does not answer 200 makes healthy "
        "tasks unhealthy, and ECS stops them.",
        "TARGET_MATCHER": "The target group accepts status 200 as healthy. That is the answer of a healthy task.",
        "TARGET_SLOW": "A task becomes healthy within the grace period. Otherwise ECS stops tasks that are still "
        "starting.",
        "TARGET_HASTY": "The target group waits longer than the slowest request. Otherwise one slow request can take a "
        "task out of service.",
        "TARGET_GROUP_DETACHED": "A load balancer uses the target group. Otherwise ECS refuses the service.",
        "DRAINING": "A task can finish its requests before it stops.",
        "DEREGISTRATION_SHORT": "The deregistration delay is as long as the slowest request. Otherwise each deployment "
        "cuts off requests in flight.",
        "DEREGISTRATION_LONG": "The deregistration delay is below stopTimeout. Otherwise the load balancer keeps "
        "connections open to a task that has already stopped.",
        "BALANCER": "The load balancer is active and closes idle connections before the server does.",
        "BALANCER_STATE": "The load balancer is active. Another state forwards no requests.",
        "IDLE_TIMEOUT": "The load balancer closes idle connections before the server does. A server that closes one "
        "just as the load balancer uses it again causes a 502.",
        "LISTENER": "A listener forwards to the target group.",
        "LISTENER_MISSING": "The plan's listener exists. The target group's load balancer does not have it.",
        "LISTENER_FORWARD": "A listener forwards to the target group. Otherwise no client reaches the tasks, even "
        "healthy ones.",
        "HTTPS": "Clients connect over HTTPS only.",
        "HTTPS_MISSING": "An HTTPS listener forwards to the target group. Without one, photos and keys cross the "
        "network unencrypted, and a page on HTTPS cannot call the service at all. Before phase full this is a warning, "
        "since TLS may end elsewhere.",
        "HTTP_PLAIN": "The HTTP listener redirects to HTTPS. Otherwise a client that uses http:// sends photos and "
        "keys unencrypted.",
        # --- network
        "SUBNETS": "The subnets exist and fit the plan.",
        "SUBNET_MISSING": "Every subnet of the plan exists. ECS refuses a service with an unknown subnet.",
        "SUBNETS_VPCS": "All subnets are in one VPC. A service cannot use several VPCs.",
        "SUBNETS_ONE_ZONE": "The subnets are in two availability zones or more. When a zone fails, all of its tasks "
        "fail.",
        "SUBNETS_FULL": "The subnets have enough free addresses. Each task takes one, and during a deployment old and "
        "new tasks run side by side.",
        "TARGET_VPC": "Target group and subnets are in one VPC. A target group takes addresses of its own VPC only.",
        "TARGET_ZONE": "The load balancer serves every zone of the subnets. A target in another zone stays unused.",
        "EGRESS": "Tasks can reach what they need from their subnets.",
        "EGRESS_MISSING": "Tasks can reach what they need from their subnets. Without a route to image, log, secrets "
        "and weights a task stops before it starts.",
        "PUBLIC_IP_OFF": "Tasks in a public subnet have a public address. An internet gateway serves public addresses "
        "only.",
        "ROUTE_DEAD": "The default route leads to a working gateway. The route's gateway does not exist any more, or "
        "is not available.",
        "SECURITY_GROUPS": "The security groups of the tasks exist.",
        "SECURITY_GROUP_MISSING": "Every security group of the plan exists. ECS refuses a service with an unknown one.",
        "SECURITY_GROUP_VPC": "Security groups and subnets are in one VPC. ECS refuses a service that mixes VPCs.",
        "INGRESS": "The security groups allow the load balancer to reach the tasks.",
        "INGRESS_CLOSED": "The security groups allow the load balancer to reach the tasks. Otherwise containers are "
        "healthy and targets are not: the deployment hangs, and no log says why.",
        "INGRESS_OPEN": "Only the load balancer can reach the tasks. A client that bypasses it does not use HTTPS.",
        "BALANCER_EGRESS": "The load balancer's security groups allow it to reach the tasks.",
        "BALANCER_EGRESS_CLOSED": "The load balancer's security groups allow it to reach the tasks. Otherwise every "
        "target is unhealthy.",
        "TASK_EGRESS": "The security groups of the tasks allow connections to port 443.",
        "TASK_EGRESS_CLOSED": "The security groups of the tasks allow connections to port 443. Image, log, secrets and "
        "weights all use the task's network interface.",
        "ENDPOINT_CLOSED": "VPC endpoints accept connections from the tasks. With private DNS the service's name leads "
        "to the endpoint; where that refuses, no other way is tried.",
    }
)
