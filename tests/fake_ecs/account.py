"""The account in moto: everything except what the fake ECS answers itself; correct until a test breaks it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from threading import RLock
from typing import Any

import yaml

from deploy.config.image_contract import Contract
from deploy.config.plan import parse
from tests.deploy.aws import ACCOUNT, NAME, REGION, REPOSITORY, Good
from tests.fake_ecs.clock import now

CLUSTER = "shine-ml-cluster"
CLUSTER_ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{CLUSTER}"
RECORD = "shine-record"
ALARMS = ("5xx", "p95", "unhealthy-hosts")  # as deploy/infra/infra.yaml names them, after the service's name
# Seconds of the tool's own, which no fake ECS shortens: long enough to see something, short enough to wait for.
GATES: dict[str, float] = {
    "window_s": 4,
    "settle_s": 60,
    "canary_per_second": 2.0,
    "load_s": 3,
    "p95_ms": 6000,  # two cores run up to four whole services at once
    "degraded_ratio": 0.3,
}


class Locked:
    """A client that makes one call at a time."""

    def __init__(self, client: Any, lock: RLock) -> None:
        self._client, self._lock = client, lock

    def __getattr__(self, name: str) -> Any:
        result = getattr(self._client, name)

        def call(**parameters: Any) -> Any:
            with self._lock:
                return result(**parameters)

        return call


class Account(Good):
    """A good account without a service, with images in ECR, alarms, a bucket for the record.

    Moto's state is plain dictionaries: every call takes `lock`, those that come over HTTP too.
    """

    def __init__(self, bundle: Path, contract: Contract) -> None:
        self.lock = RLock()
        super().__init__(bundle, contract)

    def ask(self, service: str, operation: str, /, **parameters: Any) -> dict[str, Any]:
        """Call moto in this process; raises botocore's ClientError."""
        with self.lock:
            result: dict[str, Any] = getattr(super().client(service), operation)(**parameters)
            return result

    def client(self, service: str) -> Any:
        """A client whose calls take the lock."""
        return Locked(super().client(service), self.lock)

    def _service(self, **_: Any) -> None:
        self.ask("ecs", "create_cluster", clusterName=CLUSTER)
        self.ask("s3", "create_bucket", Bucket=RECORD)
        for name in ALARMS:
            self.ask(
                "cloudwatch",
                "put_metric_alarm",
                AlarmName=f"{NAME}-{name}",
                Namespace="AWS/ApplicationELB",
                MetricName="HTTPCode_Target_5XX_Count",
                Statistic="Sum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanThreshold",
                TreatMissingData="notBreaching",
            )
            self.alarm(f"{NAME}-{name}", "OK")

    def alarm(self, name: str, state: str) -> None:
        """Put an alarm into a state: OK, ALARM or INSUFFICIENT_DATA."""
        self.ask("cloudwatch", "set_alarm_state", AlarmName=name, StateValue=state, StateReason="set by a test")

    def push(self, name: str) -> str:
        """Put an image into ECR; returns its digest, which follows from its name."""
        layer = hashlib.sha256(name.encode()).hexdigest()  # moto makes an image's digest of its layers
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"digest": f"sha256:{layer}", "size": 7},
            "layers": [{"digest": f"sha256:{layer}", "size": 7}],
        }
        pushed = self.ask(
            "ecr", "put_image", repositoryName=REPOSITORY, imageManifest=json.dumps(manifest), imageTag=name
        )
        digest: str = pushed["image"]["imageId"]["imageDigest"]
        return digest

    def settle(self, domain: str, tasks: int) -> None:
        """Write the resources of the account into the plan."""
        phases = {phase: {"gates": GATES} for phase in ("simple", "hybrid", "foundation", "full")}
        self.replan(
            domain=domain,
            record=f"s3://{RECORD}/trail",
            alarms=[f"{NAME}-{name}" for name in ALARMS],
            phases=phases,
            size={**self.plan.size.model_dump(), "tasks": tasks},
        )

    def write_plan(self, path: Path) -> Path:
        """The plan as `trail.yaml`."""
        content = self.plan.model_dump(mode="json", exclude_none=True)
        parse(content, str(path))
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    def write_log(self, group: str, stream: str, lines: Iterable[tuple[float, str]]) -> None:
        """Write lines of a container, with seconds since the epoch, into its log stream."""
        events = [{"timestamp": int(at * 1000), "message": line} for at, line in lines if line.strip()]
        if events:
            self.ask("logs", "put_log_events", logGroupName=group, logStreamName=stream, logEvents=events)

    def measure(self, numbers: dict[str, list[float]]) -> None:
        """Put metrics of the load balancer and its target group, each as samples."""
        front, group = (self.ids[name].rpartition(":")[2] for name in ("balancer", "target_group"))
        dimensions = [
            {"Name": "LoadBalancer", "Value": front.removeprefix("loadbalancer/")},
            {"Name": "TargetGroup", "Value": group},
        ]
        data = [
            {"MetricName": name, "Dimensions": dimensions, "Timestamp": now(), "Values": values}
            for name, values in numbers.items()
            if values
        ]
        self.ask("cloudwatch", "put_metric_data", Namespace="AWS/ApplicationELB", MetricData=data)

    def autoscale(self) -> None:
        """Add target tracking on CPU and on requests, as the stack does; the service must exist."""
        plan = self.plan
        scaled = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{plan.cluster}/{plan.service}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }
        self.ask(
            "application-autoscaling",
            "register_scalable_target",
            MinCapacity=plan.size.tasks,
            MaxCapacity=plan.size.most_tasks,
            **scaled,
        )
        front, group = (self.ids[name].rpartition(":")[2] for name in ("balancer", "target_group"))
        label = f"{front.removeprefix('loadbalancer/')}/{group}"
        for kind, extra, value in (
            ("ECSServiceAverageCPUUtilization", {}, plan.autoscaling.cpu_percent),
            ("ALBRequestCountPerTarget", {"ResourceLabel": label}, plan.autoscaling.requests_per_target or 300),
        ):
            self.ask(
                "application-autoscaling",
                "put_scaling_policy",
                PolicyName=f"{plan.service}-{kind}",
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": float(value),
                    "PredefinedMetricSpecification": {"PredefinedMetricType": kind, **extra},
                },
                **scaled,
            )

    @property
    def region(self) -> str:
        """The region of the account."""
        return REGION
