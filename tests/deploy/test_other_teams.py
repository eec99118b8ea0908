"""Task definitions as other teams write them: an engineer would act on each failure, and no fault is missed.

The files in other_teams/ are made up; each has the findings that it must get, and no other.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import main as cli
from tests.deploy import good

FOLDER = Path(__file__).with_name("other_teams")
REFUSED = {"FAIL INPUT_UNUSABLE"}  # it is no task definition, or a template
EXPECTED: dict[str, set[str]] = {
    # several containers
    "app_mesh_envoy.json": set(),
    "datadog_agent.json": set(),
    "datadog_with_plain_api_key.json": {"WARN SECRET_IN_PLAIN"},
    "migration_before_the_app.json": {"WARN SECRET_IN_PLAIN"},
    "migration_that_is_essential.json": {"FAIL DEPENDS_ON"},
    "nginx_in_front_of_an_app.json": set(),
    "otel_collector.json": {"FAIL HEALTH_COMMAND", "WARN HEALTH_INTERVAL"},
    "rails_web_and_sidekiq.json": set(),
    "two_servers_on_one_port.json": {"FAIL PORT_SHARED"},
    "xray_daemon.json": set(),
    # log routers
    "firelens_config_from_s3.json": {"FAIL FIRELENS"},
    "firelens_config_from_s3_on_ec2.json": set(),
    # one container on Fargate
    "arm_worker.json": set(),
    "copied_from_ec2_to_fargate.json": {"FAIL HOST_PORT", "FAIL LOGS", "FAIL FARGATE_REFUSES"},
    "gpu_on_fargate.json": {"FAIL FARGATE_REFUSES"},
    "scheduled_job_with_password_in_url.json": {"WARN SECRET_IN_PLAIN"},
    "secrets_without_execution_role.json": {"FAIL EXECUTION_ROLE_MISSING"},
    "service_connect_ports.json": set(),
    "windows_fargate.json": set(),
    "yaml_task_definition.yaml": {"WARN SECRET_IN_PLAIN"},
    # volumes
    "ebs_at_launch.json": {"WARN SECRET_IN_PLAIN"},
    "efs_access_point_with_root.json": {"FAIL EFS_VOLUME"},
    "fsx_on_fargate.json": {"FAIL FSX_VOLUME"},
    "wordpress_on_efs.json": set(),
    # EC2, and instances of one's own
    "ec2_bridge_dynamic_port.json": set(),
    "ec2_daemon.json": {"WARN IMAGE_TAG_MOVES"},
    "ec2_gpu_inference.json": set(),
    "ec2_sidecar_without_memory.json": {"FAIL CONTAINER_MEMORY"},
    "external_instance.json": set(),
    "no_launch_type.json": set(),
    "windows_ec2_fsx.json": set(),
    # exports
    "console_export_with_nulls.json": {"WARN FILE_READ_ONLY", "WARN FIELD_TYPE"},
    "described_by_the_cli.json": {"WARN FILE_WRAPPER", "WARN FILE_READ_ONLY", "WARN LOG_GROUP_CREATE"},
    # templates and other files
    "cdk_synthesized.json": REFUSED,
    "cloudformation.yaml": REFUSED,
    "codepipeline_account_placeholder.json": REFUSED,
    "copilot_manifest.yml": REFUSED,
    "docker_compose.yml": REFUSED,
    "ecspresso_template.json": REFUSED,
    "github_actions_placeholder.json": REFUSED,
    "service_of_ecspresso.json": REFUSED,
    "terraform_container_definitions.json": REFUSED,
    "terraform_rendered_list.json": REFUSED,
    "terraform_unquoted_number.json": REFUSED,
    # Shine's image as another team would run it
    "shine_behind_nginx.json": {
        "WARN PORT_MISSING", "WARN HEALTH_MISSING", "WARN IMAGE_BY_TAG", "WARN ROOT_WRITABLE", "WARN LOGS",
    },
    "shine_on_ec2.json": {"FAIL LAUNCH_TYPE", "WARN IMAGE_BY_TAG", "WARN ROOT_WRITABLE"},
    "shine_with_a_collector.json": {"WARN IMAGE_BY_TAG"},
}  # fmt: skip


def judged(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings."""
    code = cli.main(["preflight", "--offline", "--task-definition", str(path), "--json"])
    findings: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["findings"]
    return code, findings


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    contract = good.contract()
    monkeypatch.setattr("deploy.config.image_contract.builtin", lambda: contract)  # of one architecture


def test_every_file_has_its_findings() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(EXPECTED)
    assert len(EXPECTED) >= 40


@pytest.mark.parametrize("name", EXPECTED)
def test_a_task_definition_of_another_team_gets_the_findings_that_it_deserves(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, findings = judged(FOLDER / name, capsys)
    result = {f"{finding['level']} {finding['code']}" for finding in findings if finding["level"] in ("FAIL", "WARN")}
    assert result == EXPECTED[name]
    assert code == (2 if any(item.startswith("FAIL") for item in result) else 0)


@pytest.mark.parametrize("name", [name for name, result in EXPECTED.items() if result != REFUSED])
def test_of_an_image_that_is_not_shine_s_one_skip_says_that_its_contract_was_not_compared(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, findings = judged(FOLDER / name, capsys)
    skipped = [finding for finding in findings if finding["code"] == "CONTRACT_COMPARED"]
    assert [item["level"] for item in skipped] == ([] if name.startswith("shine") else ["SKIP"])


def test_no_password_of_the_files_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("scheduled_job_with_password_in_url.json", "yaml_task_definition.yaml", "ebs_at_launch.json"):
        cli.main(["preflight", "--offline", "--task-definition", str(FOLDER / name), "--all"])
        out = capsys.readouterr().out
        assert "SECRET_IN_PLAIN" in out
        assert "Tr0ub4dor" not in out
        assert "xoxb" not in out
