"""Plans with an `infra`: each way to a VPC, each thing that may be adopted."""

from typing import Any

from deploy.config.plan import Plan, parse

ACCOUNT = "123456789012"  # moto's own
REGION = "us-east-1"
BALANCER = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/6b0a7e9c-1c2d-4e3f-8a9b-0c1d2e3f4a5b"
BASIC: dict[str, Any] = {"alarm_email": "night@example.com", "adopt": {"certificate": CERTIFICATE}}
EXISTING: dict[str, Any] = {
    "vpc": "existing",
    "vpc_id": "vpc-0a1b2c3d4e5f60718",
    "load_balancer_subnets": ["subnet-0a1b2c3d4e5f60711", "subnet-0a1b2c3d4e5f60712"],
}
TASK_SUBNETS = ["subnet-0a1b2c3d4e5f60713", "subnet-0a1b2c3d4e5f60714"]
ADOPTIONS: dict[str, dict[str, Any]] = {
    "cluster": {"cluster": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/shine-ml-cluster"},
    "repository": {"repository": f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/shine-api-gateway"},
    "log_group": {"log_group": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/ecs/shine-api-gateway"},
    "weights_bucket": {"weights_bucket": "arn:aws:s3:::our-models"},
    "secret": {
        "secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shine-keys-a1b2c3",
        "key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/6b0a7e9c-1c2d-4e3f-8a9b-0c1d2e3f4a5b",
    },
    "topic": {"topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:night"},
}
LOAD_BALANCER: dict[str, Any] = {
    "load_balancer": f"{BALANCER}:loadbalancer/app/ours/50dc6c495c0c9188",
    "load_balancer_group": "sg-0a1b2c3d4e5f60715",
}
LISTENER = {"listener": f"{BALANCER}:listener/app/ours/50dc6c495c0c9188/f2f7dc8efc522ab2"}


def infras() -> dict[str, dict[str, Any]]:
    """Every choice by name, as the plan's `infra`."""
    made: dict[str, dict[str, Any]] = {
        vpc: {"vpc": vpc, **BASIC} for vpc in ("public", "private-endpoints", "private-nat")
    }
    made["existing"] = {**EXISTING, **BASIC}
    made["hosted zone"] = {"vpc": "public", "alarm_email": "night@example.com", "hosted_zone": "Z0123456789ABC"}
    for name, adopted in ADOPTIONS.items():
        made[f"adopted {name}"] = {"vpc": "public", **BASIC, "adopt": BASIC["adopt"] | adopted}
    made["adopted load balancer"] = {**EXISTING, **BASIC, "adopt": BASIC["adopt"] | LOAD_BALANCER}
    made["adopted listener"] = {**EXISTING, "alarm_email": "night@example.com", "adopt": LOAD_BALANCER | LISTENER}
    everything: dict[str, Any] = LOAD_BALANCER | LISTENER
    for adopted in ADOPTIONS.values():
        everything = everything | adopted
    made["everything adopted"] = {**EXISTING, "adopt": everything}
    return made


def content(infra: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """A plan as plain data."""
    return {
        "account": ACCOUNT,
        "region": REGION,
        "network": {"subnets": TASK_SUBNETS, "security_groups": ["sg-0a1b2c3d4e5f60716"]},
        "roles": {"task": f"arn:aws:iam::{ACCOUNT}:role/task", "execution": f"arn:aws:iam::{ACCOUNT}:role/start"},
        "load_balancer": {"target_group": f"{BALANCER}:targetgroup/shine/6d0ecf831eec9f09"},
        "domain": "https://skin.example.com",
        "front_end": "https://app.example.com",
        **({} if infra is None else {"infra": infra}),
        **more,
    }


def plan(infra: dict[str, Any] | None, **more: Any) -> Plan:
    """The same, read."""
    return parse(content(infra, **more), "trail.yaml")


def weights(name: str) -> dict[str, Any]:
    """The weights of a plan that adopts their bucket."""
    there = name in ("adopted weights_bucket", "everything adopted")
    return {"weights": {"uri": "s3://our-models/face-skin/1.0.0", "sha256": "0" * 64}} if there else {}
