"""Checks of the AWS account: a good account has no problem, each fault is found by its own code and hides no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from bentos.skin.settings import Phase
from deploy.aws import errors
from deploy.config.image_contract import Contract
from deploy.config.image_contract import own as contract
from deploy.findings.catalog import CODES
from deploy.findings.finding import Finding
from deploy.verify import account
from deploy.verify.account.run import run_account_checks
from tests.deploy.account_faults import FAULTS, point, publish
from tests.deploy.aws import MOTO, SECRET_VALUE, Good
from tests.s3 import CREDENTIALS
from tests.unit.model import bundles


@pytest.fixture(scope="module")
def image_contract() -> Contract:
    return contract()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="module")
def shared_account(image_contract: Contract, bundle: Path) -> Iterator[Good]:
    """One account for the module."""
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for name, value in {**CREDENTIALS, **MOTO}.items():
            patch.setenv(name, value)
        made = Good(bundle, image_contract)
        made.keep()
        yield made


@pytest.fixture
def good(shared_account: Good) -> Iterator[Good]:
    """The account as it was made, whatever a test does to it."""
    yield shared_account
    shared_account.restore()


def findings_of(good: Good, phase: Phase = "full") -> list[Finding]:
    return run_account_checks(good.plan, good.task_definition, good.contract, good.session, phase)


def problems(findings: list[Finding]) -> dict[str, str]:
    return {finding.code: finding.level for finding in findings if finding.level in ("FAIL", "WARN")}


@pytest.mark.parametrize("phase", ["simple", "hybrid", "foundation", "full"])
def test_nothing_is_wrong_with_a_good_account(good: Good, phase: Phase) -> None:
    findings = findings_of(good, phase)
    assert problems(findings) == {}, [finding.sentence for finding in findings if finding.level in ("FAIL", "WARN")]
    skipped = {finding.code for finding in findings if finding.level == "SKIP"}
    assert skipped == ({"QUOTA"} if phase in ("foundation", "full") else {"QUOTA", "WEIGHTS"})
    assert len(findings) >= 20


@pytest.mark.parametrize("code", FAULTS)
def test_each_fault_is_found_by_its_own_code_and_by_no_other(good: Good, code: str) -> None:
    level, make = FAULTS[code]
    make(good)
    findings = findings_of(good)
    assert problems(findings) == {code: level}, [
        finding.sentence for finding in findings if finding.code in problems(findings)
    ]
    finding = next(finding for finding in findings if finding.code == code)
    assert finding.repair is not None
    assert finding.places
    assert finding.sentence.endswith(".")


UNPROVOKED = {"CREDENTIALS", "AWS_UNREACHABLE", "AWS_THROTTLED", "AWS_REFUSED", "AWS_UNFORESEEN", "PERMISSION_MISSING"}


def yielded() -> set[str]:
    """The codes that checks of the account yield, as their sources name them."""
    sources = [*Path(account.__path__[0]).glob("*.py"), Path(errors.__file__)]
    names = {name for source in sources for name in re.findall(r'"([A-Z][A-Z_]+)"', source.read_text())}
    roles = {
        f"{kind}_ROLE{end}" for kind in ("EXECUTION", "TASK") for end in ("", "_MISSING", "_TRUST", "_MAY", "_MAY_NOT")
    }
    return (names & CODES.keys()) | roles


def test_every_code_is_explained_and_every_fault_among_them_provoked(good: Good) -> None:
    fine = {finding.code for finding in findings_of(good)} | {"EXECUTION_ROLE_MAY", "TASK_ROLE_MAY"}
    assert yielded() == fine | FAULTS.keys() | UNPROVOKED
    assert all(CODES[code].title and CODES[code].why.endswith(".") for code in yielded())


def test_a_service_that_is_not_there_yet_will_be_created(good: Good) -> None:
    good.client("ecs").delete_service(cluster="shine-ml-cluster", service="shine-api-gateway", force=True)
    findings = findings_of(good)
    assert problems(findings) == {}
    sentence = next(finding.sentence for finding in findings if finding.code == "SERVICE")
    assert sentence == "The service shine-api-gateway does not exist yet: the rollout will create it."


def test_two_deployments_at_once_are_one_in_progress(good: Good) -> None:
    def twice(answer: dict[str, Any]) -> None:
        deployments = answer["services"][0]["deployments"]
        deployments.append({**deployments[0], "id": "ecs-svc/2", "status": "ACTIVE"})

    good.stand_in("ecs", "DescribeServices", twice)
    assert problems(findings_of(good)) == {"DEPLOYMENT_RUNNING": "FAIL"}


def test_both_values_stand_in_the_sentence(good: Good) -> None:
    FAULTS["TARGET_PATH"][1](good)
    finding = next(finding for finding in findings_of(good) if finding.code == "TARGET_PATH")
    assert finding.sentence == "The target group checks /, but the image's health path is /health."
    assert [place.value for place in finding.places] == ["/health", "/"]
    assert finding.repair == "Set the target group's health check path to /health."


# --- ways out of a subnet ------------------------------------------------------------------------------------------


def test_endpoints_do_instead_of_a_nat_gateway_and_each_that_lacks_is_named(good: Good) -> None:
    good.no_nat()
    services = ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "s3"]
    for number, service in enumerate(services):
        sentence = next(finding.sentence for finding in findings_of(good) if finding.code == "EGRESS_MISSING")
        missing = [name for name in services if f"{name} (" in sentence]
        assert missing == services[number:], sentence
        good.endpoint(service)
    assert problems(findings_of(good)) == {}


def test_without_secrets_no_endpoint_of_theirs_is_asked_for(good: Good) -> None:
    good.no_nat()
    good.replan(secrets={})
    good.container.pop("secrets")
    for service in ("ecr.api", "ecr.dkr", "logs", "s3"):
        good.endpoint(service)
    assert problems(findings_of(good)) == {}


def test_a_public_subnet_is_a_way_out_for_tasks_with_a_public_address(good: Good) -> None:
    network = good.plan.network.model_dump()
    public = [good.ids["public_a"], good.ids["public_b"]]
    good.replan(network={**network, "subnets": public, "assign_public_ip": True})
    assert problems(findings_of(good)) == {}
    good.replan(network={**network, "subnets": public})
    sentences = [finding.sentence for finding in findings_of(good) if finding.code == "PUBLIC_IP_OFF"]
    assert len(sentences) == 2
    assert "assignPublicIp is DISABLED" in sentences[0]


def test_a_subnet_without_a_table_of_its_own_takes_the_main_one(good: Good) -> None:
    made = good.client("ec2").create_subnet(
        VpcId=good.ids["vpc"], CidrBlock="10.0.8.0/24", AvailabilityZone="us-east-1b"
    )["Subnet"]["SubnetId"]
    network = good.plan.network.model_dump()
    good.replan(network={**network, "subnets": [good.ids["private_a"], made]})
    assert problems(findings_of(good)) == {"EGRESS_MISSING": "FAIL"}  # the main table has no way out


# --- weights -------------------------------------------------------------------------------------------------------


def test_the_pinned_version_is_found_beside_the_live_one(good: Good, bundle: Path) -> None:
    files = {name: (bundle / name).read_bytes() for name in ("model.onnx", "metrics.json")}
    manifest = (bundle / "manifest.json").read_bytes()
    publish(good, "1.0.0", manifest, files, good.ids["pin"])
    point(good, "2.0.0-ffffffffffff", "2.0.0", "f" * 64)  # live is another
    good.client("s3").delete_object(Bucket="shine-weights", Key="face-skin/manifest.json")
    findings = findings_of(good, "foundation")
    assert problems(findings) == {}
    assert next(finding.sentence for finding in findings if finding.code == "WEIGHTS").endswith(
        f"1.0.0-{good.ids['pin'][:12]}."
    )


def test_a_pinned_version_that_is_nowhere_is_missing(good: Good) -> None:
    point(good, "2.0.0-ffffffffffff", "2.0.0", "f" * 64)
    assert problems(findings_of(good, "foundation")) == {"WEIGHTS_MISSING": "FAIL"}


# --- secrets -------------------------------------------------------------------------------------------------------


def test_no_value_of_a_secret_is_ever_told(good: Good) -> None:
    FAULTS["SECRET_KEY_MISSING"][1](good)
    text = " ".join(finding.model_dump_json() for finding in findings_of(good))
    assert SECRET_VALUE not in text
    assert "holds the keys api_keys" in text


def test_a_parameter_is_asked_for_without_decryption(good: Good) -> None:
    made = {"Name": "/shine/keys", "Value": SECRET_VALUE, "Type": "SecureString"}
    good.client("ssm").put_parameter(**made)
    good.container["secrets"][0]["valueFrom"] = "arn:aws:ssm:us-east-1:123456789012:parameter/shine/keys"
    good.permit("shine-execution", [{"Effect": "Allow", "Action": "*", "Resource": "*"}])
    asked = []
    good.session.events.register("provide-client-params.ssm", lambda params, **_: asked.append(params))
    assert problems(findings_of(good)) == {}
    assert asked == [{"Name": "/shine/keys", "WithDecryption": False}]


def test_the_quota_is_counted_twice_over_for_a_deployment(good: Good) -> None:
    good.quota(12.0)  # 6 tasks of 1 CPU, old and new
    assert next(finding.level for finding in findings_of(good) if finding.code == "QUOTA") == "OK"
