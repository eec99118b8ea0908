"""`trail up --image` pushes to a real registry, by digest, and only what is not there."""

import base64
import dataclasses
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.config.plan import PlanError
from deploy.rollout import push
from tests.container.registry import Registry
from tests.deploy.infra_plans import plan as plan_of

PLAN = plan_of(None)
REPOSITORY = PLAN.repository_name


class Ecr:
    """What ECR answers, of the images that the registry really holds; moto's has no door for docker."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.asked_for_token = 0

    def describe_repositories(self, **_: Any) -> dict[str, Any]:
        return {"repositories": [{"repositoryUri": f"{self._registry.host}/{REPOSITORY}"}]}

    def describe_images(self, imageIds: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803  boto3's name
        if not self._registry.holds(REPOSITORY, imageIds[0]["imageDigest"]):
            raise ClientError({"Error": {"Code": "ImageNotFoundException", "Message": "not there"}}, "DescribeImages")
        return {}

    def get_authorization_token(self) -> dict[str, Any]:
        self.asked_for_token += 1
        token = base64.b64encode(f"{self._registry.user}:{self._registry.password}".encode()).decode()
        return {"authorizationData": [{"authorizationToken": token}]}


@pytest.fixture
def alone(engine: dict[str, str], registry: Registry, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The engine, with a docker configuration of this test's own: no login of others, none left behind."""
    env = {**engine, "DOCKER_CONFIG": str(tmp_path / "docker")}
    yield env
    command = ["docker", "images", "--quiet", "--filter", f"reference={registry.host}/{REPOSITORY}"]
    for name in subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split():
        subprocess.run(["docker", "rmi", name], env=env, capture_output=True, check=False)


def pushed(ecr: Ecr, image: str, env: dict[str, str]) -> tuple[str, list[str]]:
    output: list[str] = []
    return push.push({"ecr": ecr}, PLAN, image, env, output.append), output  # type: ignore[arg-type]  # as Clients answer


def test_an_image_is_pushed_once_and_known_by_its_digest(
    alone: dict[str, str], image: str, registry: Registry, capfd: Any
) -> None:
    ecr = Ecr(registry)
    digest, output = pushed(ecr, image, alone)
    assert registry.holds(REPOSITORY, digest)
    assert output == [f"Pushing {image} to {registry.host}/{REPOSITORY} …"]
    assert "Pushed" in capfd.readouterr().err  # docker's own progress
    again, output = pushed(ecr, image, alone)
    assert (again, ecr.asked_for_token) == (digest, 1)
    assert output == [f"{registry.host}/{REPOSITORY}@{digest} is in ECR already; nothing is pushed."]


def test_a_refused_login_is_a_sentence(alone: dict[str, str], image: str, registry: Registry) -> None:
    ecr = Ecr(dataclasses.replace(registry, password="of-yesterday"))  # noqa: S106  wrong on purpose
    ecr.describe_images = lambda **_: Ecr(registry).describe_images([{"imageDigest": "sha256:" + "0" * 64}])  # type: ignore[method-assign]
    with pytest.raises(PlanError, match=r"^docker login failed: .*401 Unauthorized"):
        pushed(ecr, image, alone)


def test_an_image_that_is_not_here_is_a_sentence(alone: dict[str, str], registry: Registry) -> None:
    with pytest.raises(PlanError, match=r"^docker image failed: .*No such image: shine:never"):
        pushed(Ecr(registry), "shine:never", alone)
