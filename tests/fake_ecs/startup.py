"""What stands between a task and its process: network, secrets, log group, image. Refusals are in ECS's words."""

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from tests.fake_ecs.account import Account
from tests.fake_ecs.errors import StartFailed
from tests.fake_ecs.images import Image
from tests.fake_ecs.network import gets_out

INIT = "ResourceInitializationError"
SECRETS = f"{INIT}: unable to pull secrets or registry auth: execution resource retrieval failed"


@dataclass(frozen=True)
class Container:
    """All that the process needs.

    Attributes:
        name, image: as in the task definition.
        digest: of the image.
        behaves: what it does.
        environment: secrets included.
        group, stream: of its log; None: it has none.
    """

    name: str
    image: str
    digest: str
    behaves: Image
    environment: dict[str, str]
    group: str | None
    stream: str | None


def prepare(
    account: Account, catalogue: dict[str, Image], container: dict[str, Any], network: dict[str, Any], task: str
) -> Container:
    """All of it, in the order in which Fargate goes about it; containers beside this one are told of and never run.

    Raises:
        StartFailed: with ECS's stoppedReason.
    """
    _connected(account, container, network)
    secrets = {item["name"]: secret(account, item["valueFrom"]) for item in container.get("secrets", [])}
    group, stream = _log(account, container, task)
    digest = pull(account, container["image"])
    plain = {item["name"]: item["value"] for item in container.get("environment", [])}
    behaves = catalogue.get(f"{digest} in {plain.get('SHINE_PHASE')}") or catalogue.get(digest)
    if behaves is None:  # in ECR, but nobody said what it does
        raise StartFailed(f"CannotPullContainerError: the fake ECS has no image {digest} in its catalogue")
    return Container(container["name"], container["image"], digest, behaves, {**plain, **secrets}, group, stream)


def _connected(account: Account, container: dict[str, Any], network: dict[str, Any]) -> None:
    expected = network["awsvpcConfiguration"]
    public = expected.get("assignPublicIp", "DISABLED") == "ENABLED"
    subnet = expected["subnets"][0]
    # The execution role's calls take the task's own network interface, secrets first.
    services = ["ecr.api", "ecr.dkr", "logs"]
    if container.get("secrets"):
        services.insert(0, "secretsmanager")
    for service in services:
        if gets_out(account, subnet, public, service):
            continue
        if service == "secretsmanager":
            raise StartFailed(
                f"{SECRETS}: unable to retrieve secret from asm: There is a connection issue between the task and AWS "
                "Secrets Manager. Check your task network configuration. failed to fetch secret from secrets manager: "
                f'RequestCanceled: request context canceled, Post "https://secretsmanager.{account.region}.'
                'amazonaws.com/": dial tcp 52.46.158.30:443: i/o timeout'
            )
        if service == "logs":
            raise StartFailed(
                f"{INIT}: failed to validate logger args: The task cannot find the Amazon CloudWatch log group defined "
                "in the task definition. There is a connection issue between the task and Amazon CloudWatch. Check "
                "your network configuration. : signal: killed"
            )
        raise StartFailed(
            f"{INIT}: unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: "
            "There is a connection issue between the task and Amazon ECR. Check your task network configuration. "
            f'RequestError: send request failed caused by: Post "https://api.ecr.{account.region}.amazonaws.com/": '
            "dial tcp 44.213.79.50:443: i/o timeout"
        )


def secret(account: Account, arn: str) -> str:
    """A value out of Secrets Manager (arn:key:stage:id) or Parameter Store."""
    parts = arn.split(":")
    try:
        if parts[2] == "ssm":
            name = "/" + arn.partition(":parameter/")[2]
            try:
                result = account.ask("ssm", "get_parameter", Name=name, WithDecryption=True)
            except ClientError:
                result = account.ask("ssm", "get_parameter", Name=name[1:], WithDecryption=True)
            return str(result["Parameter"]["Value"])
        stage = {"VersionStage": parts[8]} if len(parts) > 8 and parts[8] else {}
        result = account.ask("secretsmanager", "get_secret_value", SecretId=":".join(parts[:7]), **stage)
    except ClientError as error:
        output = error.response["Error"]
        store = "ssm" if parts[2] == "ssm" else "asm"
        what = "unable to retrieve secrets from ssm" if store == "ssm" else "unable to retrieve secret from asm"
        doing = "failed to fetch secret from secrets manager" if store == "asm" else "utils.FetchSecretsFromSSM"
        raise StartFailed(
            f"{SECRETS}: {what}: service call has been retried 1 time(s): {doing} {arn}: "
            f"{output['Code']}: {output['Message']}"
        ) from None
    value = str(result["SecretString"])
    key = parts[7] if len(parts) > 7 else ""
    if not key:
        return value
    asked = f"{SECRETS}: unable to retrieve secret from asm: service call has been retried 1 time(s):"
    try:
        content = json.loads(value)
    except ValueError:
        raise StartFailed(
            f"{asked} invalid character '{value[:1]}' looking for beginning of value; retrieved secret from Secrets "
            "Manager is not valid JSON"
        ) from None
    if key not in content:
        raise StartFailed(f"{asked} retrieved secret from Secrets Manager did not contain json key {key}")
    return str(content[key])


def _log(account: Account, container: dict[str, Any], task: str) -> tuple[str | None, str | None]:
    expected = container.get("logConfiguration")
    if not expected or expected["logDriver"] != "awslogs":
        return None, None
    options = expected["options"]
    group = options["awslogs-group"]
    stream = f"{options.get('awslogs-stream-prefix', 'ecs')}/{container['name']}/{task}"
    try:
        if options.get("awslogs-create-group") == "true" and not _there(account, group):
            account.ask("logs", "create_log_group", logGroupName=group)
        account.ask("logs", "create_log_stream", logGroupName=group, logStreamName=stream)
    except ClientError as error:
        output = error.response["Error"]
        reason = "The specified log group does not exist." if "NotFound" in output["Code"] else output["Message"]
        raise StartFailed(
            f"{INIT}: failed to validate logger args: create stream has been retried 1 times: failed to create "
            f"Cloudwatch log stream: {output['Code']}: {reason} : exit status 1"
        ) from None
    return group, stream


def _there(account: Account, group: str) -> bool:
    result = account.ask("logs", "describe_log_groups", logGroupNamePrefix=group)["logGroups"]
    return any(item["logGroupName"] == group for item in result)


def pull(account: Account, image: str) -> str:
    """The digest of an image in ECR, by digest or tag."""
    repository, _, reference = image.partition("/")[2].partition("@")
    expected = {"imageDigest": reference}
    if not reference:
        repository, _, tag = repository.partition(":")
        expected = {"imageTag": tag or "latest"}
    try:
        result = account.ask("ecr", "describe_images", repositoryName=repository, imageIds=[expected])
    except ClientError:
        raise StartFailed(
            "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
            f"{image}: {image}: not found"
        ) from None
    return str(result["imageDetails"][0]["imageDigest"])
