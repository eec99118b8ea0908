"""What is refused, by ECS or on the way to it, arrives at boto3 as AWS would tell it."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError

from tests.deploy.aws import NAME
from tests.fake_ecs import FakeEcs, model
from tests.fake_ecs.account import CLUSTER, RECORD
from tests.fake_ecs.driver import Driver, photo


def instance_group(driver: Driver) -> Any:
    other = driver.fake_ecs.account.target_group("other", TargetType="instance")
    made = driver.service()["loadBalancers"][0]
    return driver.update(loadBalancers=[{**made, "targetGroupArn": other}])


def inactive(driver: Driver) -> Any:
    arn = driver.register("stub-next")
    driver.ecs.deregister_task_definition(taskDefinition=arn)
    return driver.update(arn)


def another_port(driver: Driver) -> Any:
    made = driver.service()["loadBalancers"][0]
    return driver.update(loadBalancers=[{**made, "containerPort": 8080}])


def nowhere(driver: Driver) -> Any:
    return driver.ecs.describe_services(cluster="another", services=[NAME])


def again(driver: Driver) -> Any:
    return driver.create(driver.register("stub"))


def in_use(driver: Driver) -> Any:
    return driver.ecs.delete_service(**driver.names)


REFUSALS: dict[str, tuple[Any, str]] = {
    "target type": (
        instance_group,
        r"InvalidParameterException.* has target type instance, which is incompatible with the awsvpc network mode "
        "specified in the task definition",
    ),
    "inactive": (inactive, "ClientException.*TaskDefinition is inactive"),
    "port": (another_port, "InvalidParameterException.* did not have a container port 8080 defined"),
    "cluster": (nowhere, "ClusterNotFoundException.*Cluster not found"),
    "twice": (again, "InvalidParameterException.*Creation of service was not idempotent"),
    "in use": (in_use, "InvalidParameterException.*cannot be stopped while it is scaled above 0"),
}


def test_what_ecs_refuses_is_refused_in_its_words(live: Driver) -> None:
    for does, output in REFUSALS.values():
        with pytest.raises(ClientError, match=output):
            does(live)
    assert [deployment["status"] for deployment in live.service()["deployments"]] == ["PRIMARY"]


def test_an_update_of_a_service_that_is_not_there_is_refused(driver: Driver) -> None:
    with pytest.raises(ClientError, match="ServiceNotFoundException"):
        driver.update(driver.register("stub"))
    result = driver.ecs.describe_services(cluster=CLUSTER, services=[NAME])
    assert [failure["reason"] for failure in result["failures"]] == ["MISSING"]


READS: dict[str, tuple[str, dict[str, Any]]] = {
    "ecs": ("list_clusters", {}),
    "elbv2": ("describe_load_balancers", {}),
    "ec2": ("describe_vpcs", {}),
    "iam": ("list_roles", {}),
    "sts": ("get_caller_identity", {}),
    "logs": ("describe_log_groups", {}),
    "cloudwatch": ("describe_alarms", {}),
    "s3": ("list_buckets", {}),
    "secretsmanager": ("list_secrets", {}),
    "ecr": ("describe_repositories", {}),
}


def refused_with(fake_ecs: FakeEcs, service: str) -> str | None:
    operation, asked = READS[service]
    try:
        getattr(fake_ecs.client(service), operation)(**asked)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None


def test_throttling_and_expired_credentials_reach_a_client_as_each_service_tells_them(fake_ecs: FakeEcs) -> None:
    assert {refused_with(fake_ecs, service) for service in READS} == {None}
    fake_ecs.faults.throttle(1.0, 60)
    assert {service: refused_with(fake_ecs, service) for service in READS} == {
        **dict.fromkeys(READS, "ThrottlingException"),
        **dict.fromkeys(("elbv2", "iam", "sts"), "Throttling"),
        "ec2": "RequestLimitExceeded",
        "s3": "SlowDown",
    }
    fake_ecs.faults.clear()
    fake_ecs.faults.expire_credentials()
    assert {service: refused_with(fake_ecs, service) for service in READS} == {
        **dict.fromkeys(READS, "ExpiredTokenException"),
        **dict.fromkeys(("elbv2", "iam", "sts", "s3"), "ExpiredToken"),
        "ec2": "RequestExpired",
    }
    fake_ecs.faults.clear()
    fake_ecs.faults.throttle(0.5, 60, services=["ecs"])
    observed = [refused_with(fake_ecs, "ecs") for _ in range(40)]
    assert 8 <= observed.count(None) <= 32
    assert refused_with(fake_ecs, "logs") is None
    fake_ecs.faults.throttle(1.0, 0.0)
    assert refused_with(fake_ecs, "ecs") is None


def test_an_operation_can_be_denied_or_unknown_and_a_bucket_or_all_out_of_reach(fake_ecs: FakeEcs) -> None:
    ecs, s3 = fake_ecs.client("ecs"), fake_ecs.client("s3")
    fake_ecs.faults.deny("ListClusters")
    with pytest.raises(ClientError, match=r"AccessDeniedException.* is not authorized to perform: ecs:ListClusters on"):
        ecs.list_clusters()
    assert ecs.list_task_definitions()["taskDefinitionArns"] == []
    fake_ecs.faults.clear()
    fake_ecs.faults.not_implemented("ListServiceDeployments")
    with pytest.raises(ClientError, match="UnknownOperationException"):
        ecs.list_service_deployments(cluster=CLUSTER, service=NAME)
    fake_ecs.faults.clear()
    fake_ecs.faults.break_down("ListServiceDeployments")
    with pytest.raises(ClientError, match="ServerException") as failed:
        ecs.list_service_deployments(cluster=CLUSTER, service=NAME)
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    fake_ecs.faults.clear()
    fake_ecs.faults.cut_off(RECORD)
    with pytest.raises((HTTPClientError, EndpointConnectionError)):
        s3.list_objects_v2(Bucket=RECORD)
    assert s3.list_objects_v2(Bucket="shine-weights")["KeyCount"] == 3
    fake_ecs.faults.cut_off_all()
    with pytest.raises((HTTPClientError, EndpointConnectionError)):
        ecs.list_clusters()
    fake_ecs.faults.clear()
    assert s3.list_objects_v2(Bucket=RECORD)["KeyCount"] == 0


def test_what_moto_lacks_is_told_at_once(fake_ecs: FakeEcs) -> None:
    with pytest.raises(ClientError, match="NotImplemented"):
        fake_ecs.client("iam").simulate_custom_policy(PolicyInputList=["{}"], ActionNames=["s3:GetObject"])


def test_a_task_is_not_struck_by_what_strikes_the_operator(live: Driver) -> None:
    live.fake_ecs.faults.cut_off_all()
    time.sleep(1)
    assert photo(live.fake_ecs.base_url).status_code == 200
    live.fake_ecs.faults.clear()
    assert live.service()["runningCount"] == 2


def test_an_answer_that_is_not_as_the_model_says_is_found() -> None:
    assert model.faults("ListTasks", {"taskArns": ["a"], "nextToken": "b"}) == []
    assert model.faults("ListTasks", {"taskArn": ["a"]}) == ["ListTasks.taskArn is not in the model"]
    wrong = {"services": [{"desiredCount": "2", "launchType": "MOON"}]}
    assert model.faults("DescribeServices", wrong) == [
        "DescribeServices.services[0].desiredCount is '2', the model wants integer",
        "DescribeServices.services[0].launchType is 'MOON', the model knows EC2, FARGATE, EXTERNAL, MANAGED_INSTANCES",
    ]
