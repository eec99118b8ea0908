"""Sizes, prices, tasks, targets."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from bentos.skin.contract import measured
from tests.load import sizing
from tests.load.sizing import FargatePrice, GpuPrice


def test_prices_are_those_of_their_file_and_say_of_when_they_are() -> None:
    prices = sizing.read_prices()
    assert prices.fargate["X86_64"] == FargatePrice(vcpu_hour=0.04048, gb_hour=0.004445)
    assert "check before use" in prices.source
    assert prices.as_of.startswith("20")


def test_a_misspelt_price_is_refused(tmp_path: Path) -> None:
    content = json.loads(sizing.PRICES.read_text())
    content["fargate"]["X86_64"]["vcpu_hours"] = content["fargate"]["X86_64"].pop("vcpu_hour")
    (tmp_path / "prices.json").write_text(json.dumps(content))
    with pytest.raises(ValidationError, match="vcpu_hours"):
        sizing.read_prices(tmp_path / "prices.json")


def minimum(monkeypatch: pytest.MonkeyPatch, memory_mib: int) -> None:
    contract = measured().model_copy(update={"memory_minimum_mib": memory_mib})
    monkeypatch.setattr(sizing, "measured", lambda: contract)


@pytest.mark.parametrize(
    ("cores", "pss", "contract", "memory"),
    [
        (0.5, 500, 400, 1024),
        (0.5, 900, 400, 2048),  # with headroom it does not fit into 1 GiB
        (0.5, 500, 1664, 2048),  # the contract wants more than was measured
        (1, 100, 100, 2048),  # the least with this CPU
        (2, 3600, 100, 5120),
    ],
)
def test_memory_is_the_least_that_fargate_offers_and_that_holds_it(
    cores: float, pss: float, contract: int, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    minimum(monkeypatch, contract)
    assert sizing.memory_mib(cores, pss) == memory


@pytest.mark.parametrize(("cores", "pss"), [(0.5, 4000), (3, 100)])
def test_a_size_that_fargate_does_not_offer_is_an_error(cores: float, pss: float) -> None:
    with pytest.raises(ValueError, match=f"no task of {cores:g} vCPU"):
        sizing.memory_mib(cores, pss)


def test_a_million_photos_cost_the_hours_that_they_take() -> None:
    hour = sizing.hour_price(2, 4096, FargatePrice(vcpu_hour=0.04, gb_hour=0.005))
    assert hour == pytest.approx(0.10)
    assert sizing.per_million(hour, 10) == pytest.approx(0.10 * 1e6 / 36_000)


@pytest.mark.parametrize(("rate", "per_task", "tasks"), [(1, 6, 2), (12, 6, 2), (12.1, 6, 3), (10_000, 6, 1667)])
def test_tasks_are_rounded_up_and_at_least_two(rate: float, per_task: float, tasks: int) -> None:
    assert sizing.tasks_for(rate, per_task) == tasks


def test_a_task_is_added_before_the_load_outgrows_the_others() -> None:
    rate = sizing.scaling_rate(8.0)
    assert rate * 1.1**5 == pytest.approx(8.0)
    assert sizing.cpu_percent(5.0, 100, 1) == 50
    assert sizing.cpu_percent(5.0, 100, 0.5) == 100


def test_targets_of_the_deployment_are_those_that_it_would_set(monkeypatch: pytest.MonkeyPatch) -> None:
    contract = measured().model_copy(update={"photos_per_minute": 300})
    monkeypatch.setattr(sizing, "measured", lambda: contract)
    assert sizing.deployed_targets(2) == (240, 60)


def test_a_gpu_pays_from_the_share_at_which_both_cost_the_same() -> None:
    price, cpu_ms, utilization = GpuPrice(hour=0.5, vcpus=4), 100.0, 0.8
    assert sizing.gpu_rate(cpu_ms, 0.5, 4, utilization) == pytest.approx(64)
    million = 3.0
    share = sizing.paying_model_share(cpu_ms, price, utilization, million)
    assert 0 < share < 1
    assert sizing.per_million(0.5, sizing.gpu_rate(cpu_ms, share, 4, utilization)) == pytest.approx(million)
    assert sizing.paying_model_share(cpu_ms, price, utilization, 1000.0) == 0  # it always pays
