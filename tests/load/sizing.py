"""From what was measured to sizes, prices, tasks and targets of autoscaling: arithmetic that anyone can redo.

Prices are data, in prices.json beside this file.
"""

import math
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from bentos.skin.contract import measured
from deploy.config.plan import Autoscaling, Size
from deploy.image.measure import HEADROOM
from deploy.rollout.autoscaling import LOAD_SHARE, PHOTOS_PER_MINUTE
from deploy.verify.task_definition.platform import CPU_UNITS, SIZES

PRICES = Path(__file__).with_name("prices.json")
LEAST_TASKS = Size().tasks  # two, so that one can fail
HOURS_A_MONTH = 730
# Until a task that autoscaling adds gets photos: three minutes of the metric, then its start and its health checks.
SCALE_OUT_MINUTES = 5
GROWTH_A_MINUTE = 0.10  # of the load meanwhile; an assumption, replace it by yours


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FargatePrice(_Data):
    """Of an hour, in the currency of the file."""

    vcpu_hour: float
    gb_hour: float


class GpuPrice(_Data):
    """Of an hour of an instance, and its vCPUs."""

    hour: float
    vcpus: int


class S3Price(_Data):
    """Of a thousand requests of each kind, and of a GB for a month."""

    get: float
    put_or_list: float
    gb_month: float


class Prices(_Data):
    """Prices, and when and where they were true."""

    as_of: str
    source: str
    region: str
    currency: Literal["USD"]
    fargate: dict[Literal["X86_64", "ARM64"], FargatePrice]
    gpu: dict[str, GpuPrice]
    s3: S3Price


def read_prices(path: Path = PRICES) -> Prices:
    """The prices of a file.

    Raises:
        ValidationError: it holds something else.
    """
    return Prices.model_validate_json(path.read_text())


def memory_mib(cores: float, pss_mib: float) -> int:
    """The smallest memory that Fargate offers with some CPU and that is enough.

    Enough is the measured PSS with the headroom of the image's contract, and no less than the contract's minimum, which
    was measured with photos of 40 megapixels: below it the service refuses to start.

    Args:
        cores: vCPUs of the task.
        pss_mib: largest memory that was measured.

    Raises:
        ValueError: Fargate offers no task of so many cores, or none with so much memory.
    """
    need = max(HEADROOM * pss_mib, measured().memory_minimum_mib)
    fitting = [mib for mib in SIZES.get(round(cores * CPU_UNITS), ()) if mib >= need]
    if not fitting:
        raise ValueError(f"Fargate offers no task of {cores:g} vCPU with {need:.0f} MiB")
    return min(fitting)


def hour_price(cores: float, memory: int, price: FargatePrice) -> float:
    """Of one task for an hour: vCPUs and GB are paid separately.

    Args:
        cores: vCPUs.
        memory: MiB; Fargate's GB are GiB.
        price: of each.
    """
    return cores * price.vcpu_hour + memory / 1024 * price.gb_hour


def per_million(hour: float, rate: float) -> float:
    """Price of a million photos: what an hour costs over the photos of an hour, at a steady rate of photos a second."""
    return hour / (3600 * rate) * 1e6


def tasks_for(rate: float, per_task: float) -> int:
    """How many tasks a rate needs, at least LEAST_TASKS; both in photos a second."""
    return max(LEAST_TASKS, math.ceil(rate / per_task - 1e-9))


def scaling_rate(highest: float) -> float:
    """Photos a second of a task at which another is to be added, so that it stays below the highest until that serves.

    The load grows by GROWTH_A_MINUTE for SCALE_OUT_MINUTES.
    """
    return highest / (1 + GROWTH_A_MINUTE) ** SCALE_OUT_MINUTES


def cpu_percent(rate: float, cpu_ms: float, cores: float) -> float:
    """CPU utilization of a task in per cent, as ECS counts it: at a rate of photos a second of so many CPU-ms each."""
    return 100 * rate * cpu_ms / 1000 / cores


def deployed_targets(cores: float) -> tuple[int, int]:
    """What deploy/ sets where a plan leaves it open: requests a task and minute, and CPU utilization in per cent."""
    photos_per_minute = measured().photos_per_minute or PHOTOS_PER_MINUTE
    return max(1, round(LOAD_SHARE * photos_per_minute * cores)), Autoscaling().cpu_percent


def gpu_rate(cpu_ms: float, model_share: float, vcpus: int, utilization: float) -> float:
    """Photos a second of an instance with a GPU, if the GPU does the model's work and is never what limits.

    Args:
        cpu_ms: of a photo, the model's included.
        model_share: of that; it moves to the GPU and costs no CPU there.
        vcpus: of the instance; they do the rest.
        utilization: of the vCPUs, at which answers are still in time.
    """
    return utilization * vcpus * 1000 / (cpu_ms * (1 - model_share))


def paying_model_share(cpu_ms: float, price: GpuPrice, utilization: float, million: float) -> float:
    """The model's share of a photo's CPU from which the instance is cheaper than so much for a million photos.

    Args:
        cpu_ms: of a photo.
        price: of the instance.
        utilization: as in `gpu_rate`.
        million: price of a million photos without a GPU.

    Returns:
        0 to 1; `per_million(price.hour, gpu_rate(cpu_ms, share, …)) == million` solved for the share.
    """
    return max(0.0, 1 - million * 3600 * utilization * price.vcpus * 1000 / (1e6 * price.hour * cpu_ms))
