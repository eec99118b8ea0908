"""What the network is taught: targets drawn from boxes, and the losses of each head.

A picture teaches only the heads it has labels for: lesions, severity and count on acne photos, wrinkles on the others.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bentos.skin.findings import HAYASHI_LIMITS, WRINKLE_ZONES
from training.augment import View
from training.network import COUNTS, LESION_STRIDE, SEVERITIES, WRINKLE_STRIDE

SIGMA_SHARE, SIGMA_MIN = 6.0, 0.7  # of a lesion's spot on the heat map: its size over 6, in cells, and at least .7
FOCAL_ALPHA, FOCAL_BETA = 2.0, 4.0  # CenterNet's
SIZE_WEIGHT, OFFSET_WEIGHT = 0.5, 0.5  # beside the heat map's 1; AP at .5 needs tight boxes
DENSITY_WEIGHT, LOG_COUNT_WEIGHT = 0.5, 0.5
BLOCK = 8  # cells; density is compared in blocks of this and of a quarter of the map: where, and how many
WRINKLE_WEIGHT, DICE_WEIGHT, ZONE_WEIGHT = 8.0, 1.0, 0.5  # maps by cell, maps by overlap, zones as a whole
WRINKLE_POSITIVE = 2.0  # weight of a cell with a wrinkle: boxes are not exhaustive, a missed one costs more
SEVERITY_WEIGHT, COUNT_WEIGHT = 0.5, 0.25  # from the first step on: they overfit late, not early
COUNT_SPREAD, COUNT_SPREAD_SHARE = 1.0, 0.1  # σ of the count's distribution: annotators disagree more on full faces
LABEL_SHARE = 0.5  # of severity's target that is the dermatologists' class; the rest is the count's share of each class

Targets = dict[str, Tensor]


def acne_targets(views: list[View], severities: list[int]) -> Targets:
    """Targets of a batch of acne views, float32.

    Returns:
        heat (batch, 1, cells, cells); size, offset (batch, 2, cells, cells); centres (batch, 1, cells, cells), number
        of lesions whose centre lies in the cell; severity (batch, 4), count (batch, 66), distributions; whole (batch,).
    """
    side = views[0].pixels.shape[0] // LESION_STRIDE
    maps = [_lesion_maps(view.lesions / LESION_STRIDE, side) for view in views]
    heat, size, offset, centres = (torch.from_numpy(np.stack(column)) for column in zip(*maps, strict=True))
    distributions = [distribution(len(view.lesions), grade) for view, grade in zip(views, severities, strict=True)]
    severity, count = (torch.from_numpy(np.stack(column)) for column in zip(*distributions, strict=True))
    whole = torch.tensor([float(view.whole) for view in views])
    drawn = {"heat": heat, "size": size, "offset": offset, "centres": centres}
    return {**drawn, "severity": severity, "count": count, "whole": whole}


def wrinkle_targets(views: list[View]) -> Targets:
    """Target of a batch of wrinkle views: wrinkles (batch, 4, cells, cells), 1 where a box of the zone is."""
    side = views[0].pixels.shape[0] // WRINKLE_STRIDE
    maps = np.zeros((len(views), len(WRINKLE_ZONES), side, side), dtype=np.float32)
    for number, view in enumerate(views):
        for kind, zone in enumerate(WRINKLE_ZONES):
            for x, y, width, height in view.wrinkles[zone] / WRINKLE_STRIDE:
                rows = slice(max(round(y), 0), max(round(y + height), round(y) + 1))
                columns = slice(max(round(x), 0), max(round(x + width), round(x) + 1))
                maps[number, kind, rows, columns] = 1
    return {"wrinkles": torch.from_numpy(maps)}


def distribution(count: int, severity: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Label distributions of severity, (4, ), and count, (66, ), after Wu et al. 2019: a Gaussian around the count.

    Severity's is the mean of the class that was judged and of what the count's distribution gives each by Hayashi.
    """
    spread = COUNT_SPREAD + COUNT_SPREAD_SHARE * count
    counts = np.exp(-0.5 * ((np.arange(COUNTS) - min(count, COUNTS - 1)) / spread) ** 2)
    counts /= counts.sum()
    grades = np.searchsorted(np.array(HAYASHI_LIMITS[1:]), np.arange(COUNTS), side="left")
    by_count = np.bincount(grades, weights=counts, minlength=SEVERITIES)
    label = np.eye(SEVERITIES)[severity]
    return (LABEL_SHARE * label + (1 - LABEL_SHARE) * by_count).astype(np.float32), counts.astype(np.float32)


def acne_loss(raw: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """Weighted losses by name; raw answers and targets of the acne part of a batch."""
    heat, spots = raw["heat"].float(), targets["heat"]
    found = max(float(targets["centres"].gt(0).sum()), 1.0)
    chance = torch.sigmoid(heat).clamp(1e-4, 1 - 1e-4)
    peak = (spots == 1).float()
    focal = peak * (1 - chance) ** FOCAL_ALPHA * chance.log()
    focal = focal + (1 - peak) * (1 - spots) ** FOCAL_BETA * chance**FOCAL_ALPHA * (1 - chance).log()
    boxes = {name: (peak * (raw[name] - targets[name]).abs()).sum() / found for name in ("size", "offset")}
    total, true_total = raw["density"].sum(dim=(1, 2, 3)), targets["centres"].sum(dim=(1, 2, 3))
    blocks = sum(_poisson(raw["density"], targets["centres"], block) for block in (BLOCK, heat.shape[-1] // 4))
    logs = functional.smooth_l1_loss(torch.log1p(total), torch.log1p(true_total))
    whole = targets["whole"]
    return {
        "heat": -focal.sum() / found,
        "size": SIZE_WEIGHT * boxes["size"],
        "offset": OFFSET_WEIGHT * boxes["offset"],
        "density": DENSITY_WEIGHT * torch.as_tensor(blocks) + LOG_COUNT_WEIGHT * logs,
        "severity": SEVERITY_WEIGHT * _divergence(raw["severity"], targets["severity"], whole),
        "count": COUNT_WEIGHT * _divergence(raw["count"], targets["count"], whole),
    }


def wrinkle_loss(raw: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """Weighted losses by name; raw answers and targets of the wrinkle part of a batch."""
    logits, true = raw["wrinkles"].float(), targets["wrinkles"]
    weight = torch.tensor(WRINKLE_POSITIVE)
    cells = functional.binary_cross_entropy_with_logits(logits, true, pos_weight=weight)
    chance = torch.sigmoid(logits)
    shared = (chance * true).sum(dim=(0, 2, 3))
    dice = 1 - (2 * shared + 1) / (chance.sum(dim=(0, 2, 3)) + true.sum(dim=(0, 2, 3)) + 1)
    zone = functional.binary_cross_entropy_with_logits(logits.amax(dim=(2, 3)), true.amax(dim=(2, 3)))
    return {"wrinkles": WRINKLE_WEIGHT * cells + DICE_WEIGHT * dice.mean(), "zones": ZONE_WEIGHT * zone}


def _lesion_maps(boxes: NDArray[np.float64], side: int) -> tuple[NDArray[np.float32], ...]:
    """Heat, size, offset and centres of one view; boxes in cells."""
    heat, centres = np.zeros((1, side, side), dtype=np.float32), np.zeros((1, side, side), dtype=np.float32)
    size, offset = np.zeros((2, side, side), dtype=np.float32), np.zeros((2, side, side), dtype=np.float32)
    along = np.arange(side)
    for x, y, width, height in boxes:
        centre = np.array([x + width / 2, y + height / 2])
        column, row = np.minimum(centre.astype(int), side - 1)
        sigma = max(SIGMA_MIN, float(np.sqrt(max(width * height, 0.0))) / SIGMA_SHARE)
        spot = np.exp(-((along - row) ** 2)[:, None] / (2 * sigma**2) - ((along - column) ** 2)[None] / (2 * sigma**2))
        np.maximum(heat[0], spot, out=heat[0], casting="same_kind")
        size[:, row, column] = np.log(np.maximum([width, height], 0.25))
        offset[:, row, column] = centre - (column, row)
        centres[0, row, column] += 1
    return heat, size, offset, centres


def _poisson(density: Tensor, centres: Tensor, block: int) -> Tensor:
    """Poisson negative log-likelihood of the lesions in each block of cells, per lesion and block edge."""
    expected, seen = (functional.avg_pool2d(x, block, ceil_mode=False) * block**2 for x in (density, centres))
    # Less its value at the truth, so that it is 0 where the density is right.
    loss = expected - seen * torch.log(expected + 1e-6) - (seen - torch.xlogy(seen, seen))
    return loss.sum(dim=(1, 2, 3)).mean() / 10


def _divergence(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the target's distribution, mean over the weighted examples."""
    each = (torch.xlogy(target, target) - target * functional.log_softmax(logits.float(), dim=1)).sum(dim=1)
    return (each * weight).sum() / weight.sum().clamp(min=1)
