"""All of `trail preflight` in one run: the plan, the image under a real engine, and a fake account."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.aws import NAME, Good
from tests.deploy.test_account_checks import bundle, good, image_contract, shared_account
from tests.s3 import S3
from tests.server import ROOT

__all__ = ["bundle", "good", "image_contract", "shared_account"]  # fixtures

WITHIN_S = 180.0  # some 30 s of work; a machine that does other things meanwhile takes longer


@pytest.fixture
def _endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The account is found over HTTP, by another process."""
    server = S3()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    yield
    server.close()


@pytest.mark.usefixtures("_endpoint")
def test_a_good_plan_image_and_account_are_all_ok_or_skipped_with_a_reason(
    good: Good, engine: dict[str, str], image: str, tmp_path: Path
) -> None:
    good.replan(settings={"SHINE_LOG_EMF": "true"}, phases={"full": {"settings": {"SHINE_RATE_PER_MINUTE": "600"}}})
    good.rewire(containerName=NAME)
    (tmp_path / "trail.yaml").write_text(yaml.safe_dump(good.plan.model_dump(mode="json")))
    command = [sys.executable, "-m", "deploy", "preflight", "--json", "--strict"]
    command += ["--digest", good.ids["digest"], "--image", image]
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}  # the endpoint among them
    began = time.monotonic()
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env={**engine, **aws, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=2 * WITHIN_S,
        check=False,
    )
    seconds = time.monotonic() - began
    findings: list[dict[str, Any]] = json.loads(ended.stdout)["findings"]
    assert [finding["sentence"] for finding in findings if finding["level"] in ("FAIL", "WARN")] == []
    assert ended.returncode == 0
    assert ended.stderr == ""
    skipped = {finding["code"]: finding["sentence"] for finding in findings if finding["level"] == "SKIP"}
    assert skipped.keys() == {"QUOTA"}, "the server knows no quotas"
    assert "could not be read: " in skipped["QUOTA"]
    fine = {finding["code"] for finding in findings if finding["level"] == "OK"}
    # Of each of the three something that only it can show.
    assert {"PORT_MISMATCH", "SETTINGS_REFUSED", "TRIAL_HEALTH", "TRIAL_STOP", "CLUSTER", "WEIGHTS", "INGRESS"} <= fine
    assert len(fine) > 90
    assert seconds < WITHIN_S
