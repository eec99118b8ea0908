"""Pushes an image to ECR, unless ECR has it already."""

import base64
import subprocess
import sys
from collections.abc import Callable, Mapping

from botocore.exceptions import ClientError

from deploy.aws.clients import Clients
from deploy.config.plan import Plan, PlanError

ABSENT = frozenset({"ImageNotFoundException", "RepositoryNotFoundException"})
PUSH_S = 1800

Say = Callable[[str], None]


def is_in_ecr(clients: Clients, plan: Plan, digest: str) -> bool:
    """Whether ECR has the image."""
    try:
        clients["ecr"].describe_images(
            registryId=plan.account, repositoryName=plan.repository_name, imageIds=[{"imageDigest": digest}]
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return False
        raise
    return True


def push(clients: Clients, plan: Plan, image: str, env: Mapping[str, str], say: Say) -> str:
    """Push an image of this machine, unless ECR has it already.

    Args:
        clients: of AWS.
        plan: names the repository.
        image: its name, as docker knows it.
        env: environment for the docker command.
        say: prints what happens.

    Returns:
        The digest of the image.

    Raises:
        PlanError: docker failed, or ECR does not have the image that docker says was pushed.
        ClientError, BotoCoreError: from AWS.
    """
    response = clients["ecr"].describe_repositories(registryId=plan.account, repositoryNames=[plan.repository_name])
    repository = str(response["repositories"][0]["repositoryUri"])
    digests, image_id = local_image(env, image, repository)
    for digest in digests:
        if is_in_ecr(clients, plan, digest):
            say(f"{repository}@{digest} is in ECR already; nothing is pushed.")
            return digest
    token = clients["ecr"].get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    docker(env, "login", "--username", user, "--password-stdin", repository.partition("/")[0], stdin=password)
    # A push needs a tag. This one names the image's id, so it never moves; nothing reads it.
    tagged = f"{repository}:{image_id.removeprefix('sha256:')[:12]}"
    docker(env, "tag", image, tagged)
    say(f"Pushing {image} to {repository} …")
    docker(env, "push", tagged, shown=True)
    for digest in local_image(env, tagged, repository)[0]:
        if is_in_ecr(clients, plan, digest):
            return digest
    raise PlanError(f"{image} was pushed to {repository}, but ECR does not have the digest that docker reports.")


def local_image(env: Mapping[str, str], image: str, repository: str) -> tuple[list[str], str]:
    """Digests of a local image in a repository, and its id; raises as `docker`."""
    output = docker(env, "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}{{.Id}}", image)
    *references, image_id = output.split()
    parts = [reference.partition("@") for reference in references]
    return [digest for name, _, digest in parts if name == repository], image_id


def docker(env: Mapping[str, str], *arguments: str, stdin: str | None = None, shown: bool = False) -> str:
    """Run docker; returns what it prints. With `shown` its output goes to stderr at once, since a push takes minutes.

    Raises:
        PlanError: it failed, or docker is not installed.
    """
    try:
        process = subprocess.run(
            ["docker", *arguments],
            env=dict(env),
            input=stdin,
            stdout=sys.stderr if shown else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=PUSH_S,
            check=False,
        )
    except FileNotFoundError:
        raise PlanError("docker is not installed here; push the image elsewhere, and name it by --digest.") from None
    except subprocess.TimeoutExpired:
        raise PlanError(f"docker {arguments[0]} did not end within {PUSH_S // 60} minutes.") from None
    if process.returncode != 0:
        raise PlanError(f"docker {arguments[0]} failed: {' '.join(process.stderr.split())[-300:]}")
    return process.stdout or ""
