"""The image in ECR, by its digest: pushed where it is not there yet."""

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


def is_there(clients: Clients, plan: Plan, digest: str) -> bool:
    """Whether ECR holds the image."""
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
    """Push an image of this machine, unless ECR holds it.

    Args:
        image: its name, as docker knows it.
        env: in which docker answers.
        say: is told what happens.

    Returns:
        Its digest.

    Raises:
        PlanError: docker refuses, or ECR does not hold afterwards what docker says was pushed.
        ClientError, BotoCoreError: of AWS.
    """
    found = clients["ecr"].describe_repositories(registryId=plan.account, repositoryNames=[plan.repository_name])
    repository = str(found["repositories"][0]["repositoryUri"])
    digests, identity = names(env, image, repository)
    for digest in digests:
        if is_there(clients, plan, digest):
            say(f"{repository}@{digest} is there already; nothing is pushed.")
            return digest
    token = clients["ecr"].get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    docker(env, "login", "--username", user, "--password-stdin", repository.partition("/")[0], stdin=password)
    # A tag is needed to push; it says what it is, cannot move in a repository of immutable tags, and nothing reads it.
    tagged = f"{repository}:{identity.removeprefix('sha256:')[:12]}"
    docker(env, "tag", image, tagged)
    say(f"Pushing {image} to {repository} …")
    docker(env, "push", tagged, shown=True)
    for digest in names(env, tagged, repository)[0]:
        if is_there(clients, plan, digest):
            return digest
    raise PlanError(f"{image} was pushed to {repository}, but ECR does not hold it under the digest that it got.")


def names(env: Mapping[str, str], image: str, repository: str) -> tuple[list[str], str]:
    """Digests of a local image in a repository, and its ID; raises as `docker`."""
    told = docker(env, "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}{{.Id}}", image)
    *references, identity = told.split()
    parts = [one.partition("@") for one in references]
    return [digest for name, _, digest in parts if name == repository], identity


def docker(env: Mapping[str, str], *arguments: str, stdin: str | None = None, shown: bool = False) -> str:
    """What a docker command prints; `shown`: it goes to stderr instead, as it comes, since a push takes minutes.

    Raises:
        PlanError: it failed, or there is no docker.
    """
    try:
        ended = subprocess.run(
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
        raise PlanError("There is no docker here; push the image elsewhere, and name it by --digest.") from None
    except subprocess.TimeoutExpired:
        raise PlanError(f"docker {arguments[0]} did not end within {PUSH_S // 60} minutes.") from None
    if ended.returncode != 0:
        raise PlanError(f"docker {arguments[0]} failed: {' '.join(ended.stderr.split())[-300:]}")
    return ended.stdout or ""
