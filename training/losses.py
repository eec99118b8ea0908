"""Computes the training targets from the labelled boxes, and the loss of each head.

An acne photo has labels for lesions, severity and count only, a wrinkle photo for wrinkles only; each trains its heads.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from bentos.skin.findings import HAYASHI_LIMITS, WRINKLE_ZONES
from training.augment import View
from training.network import COUNTS, LESION_STRIDE, SEVERITIES, WRINKLE_STRIDE

SIGMA_SHARE, SIGMA_MIN = 6.0, 0.7  # a lesion's Gaussian on the heat map: σ is its size in cells over 6, at least .7
FOCAL_ALPHA, FOCAL_BETA = 2.0, 4.0  # as in CenterNet (Zhou et al., 2019)
SIZE_WEIGHT, OFFSET_WEIGHT = 0.5, 0.5  # the heat map has 1; AP at IoU .5 needs precise boxes
DENSITY_WEIGHT, LOG_COUNT_WEIGHT = 0.5, 0.5  # of the density by block, and of the logarithm of its sum
BLOCK = 8  # cells; density is compared in blocks of 8 cells for the place, of a quarter of the map for the number
WRINKLE_WEIGHT, DICE_WEIGHT, ZONE_WEIGHT = 8.0, 1.0, 0.5  # of the maps by cell, the maps by overlap, the zones
WRINKLE_POSITIVE = 2.0  # weight of a cell with a wrinkle: boxes are not exhaustive, so a missed wrinkle costs more
SEVERITY_WEIGHT, COUNT_WEIGHT = 0.5, 0.25  # from the first step on: they overfit late, not early
COUNT_SPREAD, COUNT_SPREAD_SHARE = 1.0, 0.1  # σ = 1 + .1 · count: annotators disagree more when lesions are many
LABEL_SHARE = 0.5  # of the dermatologists' class in the severity target; the rest follows from the count

Targets = dict[str, Tensor]


def acne_targets(views: list[View], severities: list[int]) -> Targets:
    """Compute the targets of a batch of acne views.

    Args:
        views: of one size.
        severities: 0..3, one for each view.

    Returns:
        float32 tensors:
        heat (batch, 1, cells, cells), 0..1; size (batch, 2, cells, cells), log of width and height in cells; offset
        (batch, 2, cells, cells), of the centre from its cell's corner, in cells; centres (batch, 1, cells, cells),
        number of lesions whose centre lies in the cell; severity (batch, 4) and count (batch, 66), distributions;
        whole (batch,), 1 where severity and count are trained.
    """
    side = views[0].pixels.shape[0] // LESION_STRIDE
    maps = [_lesion_maps(view.lesions / LESION_STRIDE, side) for view in views]
    heat, size, offset, centres = (torch.from_numpy(np.stack(column)) for column in zip(*maps, strict=True))
    distributions = [distribution(len(view.lesions), grade) for view, grade in zip(views, severities, strict=True)]
    severity, count = (torch.from_numpy(np.stack(column)) for column in zip(*distributions, strict=True))
    whole = torch.tensor([float(view.whole) for view in views])
    lesions = {"heat": heat, "size": size, "offset": offset, "centres": centres}
    return {**lesions, "severity": severity, "count": count, "whole": whole}


def wrinkle_targets(views: list[View]) -> Targets:
    """Compute the target of a batch of wrinkle views.

    Returns:
        wrinkles: float32 (batch, 4, cells, cells), 1 where a box of the zone lies.
    """
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
    """Compute the label distributions of severity and count (Wu et al., ICCV 2019).

    The count's distribution is a Gaussian around the labelled count. The severity's distribution is the mean of the
    labelled class and of the classes that the count's distribution gives by Hayashi's limits (J Dermatol 2008).

    Args:
        count: labelled lesions.
        severity: labelled class, 0..3.

    Returns:
        float32 (4,) of severity and float32 (66,) of count; each sums to 1.
    """
    spread = COUNT_SPREAD + COUNT_SPREAD_SHARE * count
    counts = np.exp(-0.5 * ((np.arange(COUNTS) - min(count, COUNTS - 1)) / spread) ** 2)
    counts /= counts.sum()
    grades = np.searchsorted(np.array(HAYASHI_LIMITS[1:]), np.arange(COUNTS), side="left")
    by_count = np.bincount(grades, weights=counts, minlength=SEVERITIES)
    label = np.eye(SEVERITIES)[severity]
    return (LABEL_SHARE * label + (1 - LABEL_SHARE) * by_count).astype(np.float32), counts.astype(np.float32)


def acne_loss(raw: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """Compute the weighted losses of the acne part of a batch.

    Args:
        raw: outputs of `SkinNetwork.forward`.
        targets: from `acne_targets`.

    Returns:
        Name → scalar: heat (focal loss of CenterNet), size, offset, density, severity, count.
    """
    heat, target_heat = raw["heat"].float(), targets["heat"]
    peaks = max(float(targets["centres"].gt(0).sum()), 1.0)
    chance = torch.sigmoid(heat).clamp(1e-4, 1 - 1e-4)
    peak = (target_heat == 1).float()
    focal = peak * (1 - chance) ** FOCAL_ALPHA * chance.log()
    focal = focal + (1 - peak) * (1 - target_heat) ** FOCAL_BETA * chance**FOCAL_ALPHA * (1 - chance).log()
    boxes = {name: (peak * (raw[name] - targets[name]).abs()).sum() / peaks for name in ("size", "offset")}
    total, true_total = raw["density"].sum(dim=(1, 2, 3)), targets["centres"].sum(dim=(1, 2, 3))
    blocks = sum(_poisson(raw["density"], targets["centres"], block) for block in (BLOCK, heat.shape[-1] // 4))
    logs = functional.smooth_l1_loss(torch.log1p(total), torch.log1p(true_total))
    whole = targets["whole"]
    return {
        "heat": -focal.sum() / peaks,
        "size": SIZE_WEIGHT * boxes["size"],
        "offset": OFFSET_WEIGHT * boxes["offset"],
        "density": DENSITY_WEIGHT * torch.as_tensor(blocks) + LOG_COUNT_WEIGHT * logs,
        "severity": SEVERITY_WEIGHT * _divergence(raw["severity"], targets["severity"], whole),
        "count": COUNT_WEIGHT * _divergence(raw["count"], targets["count"], whole),
    }


def wrinkle_loss(raw: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """Compute the weighted losses of the wrinkle part of a batch.

    Args:
        raw: outputs of `SkinNetwork.forward`.
        targets: from `wrinkle_targets`.

    Returns:
        Name → scalar: wrinkles (cross-entropy of the cells and Dice loss), zones (cross-entropy of the highest cells).
    """
    logits, true = raw["wrinkles"].float(), targets["wrinkles"]
    weight = torch.tensor(WRINKLE_POSITIVE)
    cells = functional.binary_cross_entropy_with_logits(logits, true, pos_weight=weight)
    chance = torch.sigmoid(logits)
    shared = (chance * true).sum(dim=(0, 2, 3))
    dice = 1 - (2 * shared + 1) / (chance.sum(dim=(0, 2, 3)) + true.sum(dim=(0, 2, 3)) + 1)
    zone = functional.binary_cross_entropy_with_logits(logits.amax(dim=(2, 3)), true.amax(dim=(2, 3)))
    return {"wrinkles": WRINKLE_WEIGHT * cells + DICE_WEIGHT * dice.mean(), "zones": ZONE_WEIGHT * zone}


def _lesion_maps(boxes: NDArray[np.float64], side: int) -> tuple[NDArray[np.float32], ...]:
    """Compute heat, size, offset and centres of one view; boxes are in cells."""
    heat, centres = np.zeros((1, side, side), dtype=np.float32), np.zeros((1, side, side), dtype=np.float32)
    size, offset = np.zeros((2, side, side), dtype=np.float32), np.zeros((2, side, side), dtype=np.float32)
    along = np.arange(side)
    for x, y, width, height in boxes:
        centre = np.array([x + width / 2, y + height / 2])
        column, row = np.minimum(centre.astype(int), side - 1)
        sigma = max(SIGMA_MIN, float(np.sqrt(max(width * height, 0.0))) / SIGMA_SHARE)
        blob = np.exp(-((along - row) ** 2)[:, None] / (2 * sigma**2) - ((along - column) ** 2)[None] / (2 * sigma**2))
        np.maximum(heat[0], blob, out=heat[0], casting="same_kind")
        size[:, row, column] = np.log(np.maximum([width, height], 0.25))
        offset[:, row, column] = centre - (column, row)
        centres[0, row, column] += 1
    return heat, size, offset, centres


def _poisson(density: Tensor, centres: Tensor, block: int) -> Tensor:
    """Compute the Poisson negative log-likelihood of the number of lesions in blocks of `block`² cells."""
    predicted, labelled = (functional.avg_pool2d(x, block, ceil_mode=False) * block**2 for x in (density, centres))
    # The value at the labelled number is subtracted, so that a correct density has the loss 0.
    loss = predicted - labelled * torch.log(predicted + 1e-6) - (labelled - torch.xlogy(labelled, labelled))
    return loss.sum(dim=(1, 2, 3)).mean() / 10


def _divergence(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the Kullback-Leibler divergence from the target distribution, averaged with the examples' weights."""
    per_example = (torch.xlogy(target, target) - target * functional.log_softmax(logits.float(), dim=1)).sum(dim=1)
    return (per_example * weight).sum() / weight.sum().clamp(min=1)
