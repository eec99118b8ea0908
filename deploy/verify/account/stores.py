"""What a task fetches or writes to: image in ECR, log group, secrets; and the quota that it counts against."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from deploy.aws.errors import Absent, Denied, Refused
from deploy.findings.finding import Finding, fail, ok, skip, warn
from deploy.taskdef.model import not_determined
from deploy.verify.account.context import Account

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)"
    r"(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
VCPU_QUOTA = "L-3032A538"  # Fargate On-Demand vCPU resource count
CPU_UNITS = 1024  # of one CPU
DENIED_KEYS = "whether it holds the JSON key {key} was not looked at"


def image(account: Account) -> Iterator[Finding]:
    """The image is in ECR, under the digest that the task definition names."""
    if not account.container:
        reason = not_determined(account.task_definition, (account.plan.service,), account.contract.port)
        yield skip("IMAGE", f"The image is not looked for, since {reason}.")
        return
    named = str(account.container.get("image"))
    place = ("task definition: image", named)
    parts = ECR.fullmatch(named)
    if parts is None:
        yield skip("IMAGE", f"The image {named} is not one of ECR's; it is not looked for.", place)
        return
    repository = parts["repository"]
    if repository != account.plan.repository_name or parts["account"] != account.plan.account:
        yield warn(
            "IMAGE_REPOSITORY",
            f"The image comes from {repository} of account {parts['account']}, "
            f"the plan says {account.plan.repository_name} of {account.plan.account}.",
            place,
            ("plan: repository", account.plan.repository_name),
            repair="Name the plan's repository in the task definition, or correct the plan.",
        )
    asked = {"registryId": parts["account"], "repositoryName": repository}
    try:
        found = account.ask("ecr", "describe_repositories", registryId=parts["account"], repositoryNames=[repository])[
            "repositories"
        ][0]
    except Absent:
        yield fail(
            "REPOSITORY_MISSING",
            f"There is no repository {repository} in ECR of account {parts['account']}, {account.plan.region}.",
            place,
            repair=f"Create the repository {repository} with immutable tags, and push the image.",
        )
        return
    if not found.get("imageTagMutability", "").startswith("IMMUTABLE"):
        yield warn(
            "REPOSITORY_MUTABLE",
            f"Tags of the repository {repository} can be moved: what a tag meant at the last rollout cannot be told.",
            ("ECR: imageTagMutability", found.get("imageTagMutability")),
            repair=f"Set the repository {repository} to immutable tags.",
        )
    wanted = {"imageDigest": parts["digest"]} if parts["digest"] else {"imageTag": parts["tag"] or "latest"}
    try:
        seen = account.ask("ecr", "describe_images", **asked, imageIds=[wanted])["imageDetails"][0]
    except Absent:
        yield fail(
            "IMAGE_MISSING",
            f"The repository {repository} holds no image {next(iter(wanted.values()))}.",
            place,
            repair="Push the image, or name the digest that was pushed.",
        )
        return
    if not parts["digest"]:
        yield fail(
            "IMAGE_TAG",
            f"The task definition names the image by the tag {wanted['imageTag']}, which is {seen['imageDigest']} now "
            "and may be another tomorrow.",
            place,
            ("ECR: imageDigest", seen["imageDigest"]),
            repair=f"Name it {named.partition(':')[0]}@{seen['imageDigest']}.",
        )
    else:
        yield ok("IMAGE", f"{repository} holds {parts['digest']}.", place)


def log_group(account: Account) -> Iterator[Finding]:
    """The group that the task definition logs to is there, and forgets one day."""
    options: dict[str, str] = account.container.get("logConfiguration", {}).get("options", {})
    name = options.get("awslogs-group", account.plan.log_group)
    if name != account.plan.log_group:
        yield warn(
            "LOG_GROUP_OTHER",
            f"The task definition logs to {name}, the plan says {account.plan.log_group}.",
            ("task definition: awslogs-group", name),
            ("plan: log_group", account.plan.log_group),
            repair="Name the same log group in both.",
        )
    told = account.ask("logs", "describe_log_groups", logGroupNamePrefix=name)["logGroups"]
    found = next((one for one in told if one["logGroupName"] == name), None)
    place = ("task definition: awslogs-group", name)
    if found is None:
        yield fail(
            "LOG_GROUP_MISSING",
            f"There is no log group {name} in {account.plan.region}: tasks stop before they start.",
            place,
            repair=f"Create the log group {name} with a retention.",
        )
    elif not found.get("retentionInDays"):
        yield warn(
            "LOG_RETENTION",
            f"The log group {name} keeps its logs for ever.",
            ("CloudWatch Logs: retentionInDays", None),
            repair=f"Set a retention on {name}, 30 days for instance.",
        )
    else:
        yield ok("LOG_GROUP", f"The log group {name} keeps {found['retentionInDays']} days.", place)


def secrets(account: Account) -> Iterator[Finding]:
    """Each secret is there and holds the JSON key that its ARN names; no value leaves this function."""
    for name, arn in account.secrets.items():
        parts = arn.split(":")
        try:
            if parts[2:3] == ["ssm"]:
                # Without decryption: that it is there is all that is asked.
                account.ask("ssm", "get_parameter", Name=arn.partition(":parameter")[2], WithDecryption=False)
                yield ok("SECRET", f"The parameter of {name} is there.", ("task definition: secrets", arn))
            else:
                yield _secret(account, name, arn, parts)
        except Absent:
            yield fail(
                "SECRET_MISSING",
                f"The secret of {name} is not there: {arn}.",
                ("task definition: secrets", arn),
                repair="Create the secret, or correct its ARN in the plan (with the six random characters at its end).",
            )


def _secret(account: Account, name: str, arn: str, parts: list[str]) -> Finding:
    place, secret, key = ("task definition: secrets", arn), ":".join(parts[:7]), (parts[7:8] or [""])[0]
    found = account.ask("secretsmanager", "describe_secret", SecretId=secret)
    if found.get("DeletedDate"):
        return fail(
            "SECRET_DELETED",
            f"The secret of {name} is marked for deletion.",
            place,
            repair="Restore the secret (`aws secretsmanager restore-secret`).",
        )
    if not key:
        return ok("SECRET", f"The secret of {name} is there; its whole value is used.", place)
    stage, version = (*parts[8:10], "", "")[:2]
    which = {"VersionStage": stage} if stage else {}
    which |= {"VersionId": version} if version else {}
    try:
        keys = keys_of(account.ask("secretsmanager", "get_secret_value", SecretId=secret, **which))
    except Denied as error:
        return skip("SECRET", f"The secret of {name} is there; " + DENIED_KEYS.format(key=key) + f": {error}", place)
    if keys is None or key not in keys:
        held = "no JSON object" if keys is None else f"the keys {', '.join(sorted(keys)) or '(none)'}"
        return fail(
            "SECRET_KEY_MISSING",
            f"The ARN of {name} names the JSON key {key}, the secret holds {held}: tasks stop before they start.",
            place,
            ("Secrets Manager: keys", None if keys is None else sorted(keys)),
            repair=f"Put the key {key} into the secret, or name one that it holds.",
        )
    return ok("SECRET", f"The secret of {name} is there and holds the key {key}.", place)


def keys_of(answer: dict[str, Any]) -> set[str] | None:
    """Names of the keys in a secret; None where it is no JSON object. The value goes no further."""
    try:
        content = json.loads(answer.get("SecretString") or "")
    except ValueError:
        return None
    return set(content) if isinstance(content, dict) else None


def quota(account: Account) -> Iterator[Finding]:
    """The account may run so many CPUs on Fargate; what else runs there is not counted."""
    size = account.plan.size
    wanted = math.ceil(2 * max(size.tasks, size.most_tasks) * size.cpu / CPU_UNITS)
    try:
        told = account.ask("service-quotas", "get_service_quota", ServiceCode="fargate", QuotaCode=VCPU_QUOTA)
    except (Absent, Denied, Refused) as error:
        yield skip("QUOTA", f"The quota of Fargate CPUs could not be read: {error}")
        return
    most = told["Quota"]["Value"]
    places = [("Service Quotas: Fargate On-Demand vCPU", most), ("plan: size, twice during a deployment", wanted)]
    if most < wanted:
        yield fail(
            "QUOTA_CPUS",
            f"The account may run {most:g} CPUs on Fargate; {size.most_tasks} tasks need {wanted} during a deployment.",
            *places,
            repair=f"Ask for a higher quota ({VCPU_QUOTA} of fargate), or lower size.most_tasks.",
        )
    else:
        yield ok(
            "QUOTA", f"The account may run {most:g} CPUs on Fargate; {wanted} are the most that are needed.", *places
        )
