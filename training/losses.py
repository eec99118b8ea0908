"""Computes the training targets from the labelled boxes, and the loss of each head.

Each view trains the heads that it has labels for: an acne photo lesions, severity and count; a wrinkle photo wrinkles,
and that there is hardly a lesion; a clear face, whose lesions were counted and not marked, the count.
"""

import cv2
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
SIZE_WEIGHT, OFFSET_WEIGHT, BOX_WEIGHT = 0.25, 0.25, 1.0  # the heat map has 1; the box by its overlap counts most
NEAR = 0.4  # least value of a lesion's Gaussian in the cells beside its centre that learn its box too
SIDE_LOGS = (-1.4, 4.2)  # of a side in cells; keeps exp() finite in the first steps
DENSITY_WEIGHT, LOG_COUNT_WEIGHT = 0.5, 0.5  # of the density by block, and of the logarithm of its sum
BLOCK = 8  # cells; density is compared in blocks of 8 cells for the place, of a quarter of the map for the number
WRINKLE_WEIGHT, DICE_WEIGHT, ZONE_WEIGHT = 8.0, 1.0, 0.5  # of the maps by cell, the maps by overlap, the zones
WRINKLE_POSITIVE = 2.0  # weight of a cell with a wrinkle: boxes are not exhaustive, so a missed wrinkle costs more
SEVERITY_WEIGHT, COUNT_WEIGHT = 0.5, 0.25  # from the first step on: they overfit late, not early
COUNT_SPREAD, COUNT_SPREAD_SHARE = 1.0, 0.1  # σ = 1 + .1 · count: annotators disagree more when lesions are many
LABEL_SHARE = 0.5  # of the official class in the severity target; the rest follows from the count

Targets = dict[str, Tensor]


def lesion_targets(views: list[View]) -> Targets:
    """Compute the targets of lesions, severity and count of a batch of views.

    Args:
        views: of one size.

    Returns:
        float32 tensors:
        heat (batch, 1, cells, cells), 0..1; size (batch, 2, cells, cells), log of width and height in cells; offset
        (batch, 2, cells, cells), of the centre from the cell's corner, in cells; near (batch, 1, cells, cells), how
        much a cell learns the box of its lesion, 0..1; centres (batch, 1, cells, cells), number of lesions whose centre
        lies in the cell; labelled and certain (batch, 1, cells, cells), 1 where the number of lesions is known, and
        where their places are; severity (batch, 4) and count (batch, 66), distributions; whole (batch,), 1 where
        severity and count are trained; least and most (batch,), bounds of the number of lesions in the view; counted
        (batch,), 1 where they are known.
    """
    side = views[0].pixels.shape[0] // LESION_STRIDE
    names = ("heat", "size", "offset", "near", "centres")
    columns = zip(*(_lesion_maps(view.lesions / LESION_STRIDE, side) for view in views), strict=True)
    targets = {name: torch.from_numpy(np.stack(column)) for name, column in zip(names, columns, strict=True)}
    masks = [_known_cells(view, side) for view in views]
    targets |= {
        name: torch.from_numpy(np.stack([pair[k] for pair in masks])) for k, name in enumerate(("labelled", "certain"))
    }
    bounds = [view.bounds or (len(view.lesions), len(view.lesions)) for view in views]
    distributions = [distribution(*bound, view.severity) for bound, view in zip(bounds, views, strict=True)]
    severity, count = (torch.from_numpy(np.stack(column)) for column in zip(*distributions, strict=True))
    known = [view.unlabelled is None if view.bounds is None else view.whole for view in views]
    whole = [view.whole and (view.severity >= 0 or view.bounds is not None) for view in views]
    least, most = (torch.tensor([float(bound[k]) for bound in bounds]) for k in (0, 1))
    numbers = {"whole": torch.tensor(whole).float(), "counted": torch.tensor(known).float()}
    return {**targets, **numbers, "severity": severity, "count": count, "least": least, "most": most}


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


def distribution(least: int, most: int, severity: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the label distributions of severity and count (Wu et al., ICCV 2019).

    The count's distribution is a Gaussian around the labelled count, or their mean where only bounds are known. The
    severity's distribution is the mean of the labelled class and of the classes that the count's distribution gives by
    Hayashi's limits (J Dermatol 2008).

    Args:
        least, most: labelled lesions; equal where they were marked.
        severity: labelled class, 0..3; -1: from the count alone.

    Returns:
        float32 (4,) of severity and float32 (66,) of count; each sums to 1.
    """
    middles = np.minimum(np.arange(least, most + 1), COUNTS - 1)[:, None]
    counts = np.exp(-0.5 * ((np.arange(COUNTS) - middles) / (COUNT_SPREAD + COUNT_SPREAD_SHARE * middles)) ** 2)
    counts = (counts / counts.sum(axis=1, keepdims=True)).mean(axis=0)
    grades = np.searchsorted(np.array(HAYASHI_LIMITS[1:]), np.arange(COUNTS), side="left")
    by_count = np.bincount(grades, weights=counts, minlength=SEVERITIES)
    share = LABEL_SHARE if severity >= 0 else 0.0
    label = np.eye(SEVERITIES)[max(severity, 0)]
    return (share * label + (1 - share) * by_count).astype(np.float32), counts.astype(np.float32)


def lesion_loss(raw: dict[str, Tensor], targets: Targets) -> dict[str, Tensor]:
    """Compute the weighted losses of lesions, severity and count.

    Args:
        raw: outputs of `SkinNetwork.forward`.
        targets: from `lesion_targets`.

    Returns:
        Name → scalar: heat (focal loss of CenterNet), box (generalised intersection over union), size, offset, density,
        severity, count.
    """
    heat, target_heat, certain = raw["heat"].float(), targets["heat"], targets["certain"]
    peaks = max(float(targets["centres"].gt(0).sum()), 1.0)
    chance = torch.sigmoid(heat).clamp(1e-4, 1 - 1e-4)
    peak = (target_heat == 1).float()
    focal = peak * (1 - chance) ** FOCAL_ALPHA * chance.log()
    background = (1 - peak) * certain * (1 - target_heat) ** FOCAL_BETA
    focal = focal + background * chance**FOCAL_ALPHA * (1 - chance).log()
    near = targets["near"]
    cells = near.sum().clamp(min=1.0)
    sides = {name: (near * (raw[name] - targets[name]).abs()).sum() / cells for name in ("size", "offset")}
    overlap = (near * (1 - _generalised_overlap(raw, targets))).sum() / cells
    total = raw["density"].sum(dim=(1, 2, 3))
    goal = torch.minimum(torch.maximum(total.detach(), targets["least"]), targets["most"])
    off = functional.smooth_l1_loss(torch.log1p(total), torch.log1p(goal), reduction="none")
    logs = (off * targets["counted"]).sum() / targets["counted"].sum().clamp(min=1)
    density, centres = (x * targets["labelled"] for x in (raw["density"], targets["centres"]))
    blocks = sum(_poisson(density, centres, block) for block in (BLOCK, heat.shape[-1] // 4))
    whole = targets["whole"]
    return {
        "heat": -focal.sum() / peaks,
        "box": BOX_WEIGHT * overlap,
        "size": SIZE_WEIGHT * sides["size"],
        "offset": OFFSET_WEIGHT * sides["offset"],
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
    """Compute heat, size, offset, near and centres of one view; boxes are in cells."""
    heat, near, centres = (np.zeros((1, side, side), dtype=np.float32) for _ in range(3))
    size, offset = np.zeros((2, side, side), dtype=np.float32), np.zeros((2, side, side), dtype=np.float32)
    along = np.arange(side)
    for x, y, width, height in boxes:
        centre = np.array([x + width / 2, y + height / 2])
        column, row = np.minimum(centre.astype(int), side - 1)
        sigma = max(SIGMA_MIN, float(np.sqrt(max(width * height, 0.0))) / SIGMA_SHARE)
        blob = np.exp(-((along - row) ** 2)[:, None] / (2 * sigma**2) - ((along - column) ** 2)[None] / (2 * sigma**2))
        np.maximum(heat[0], blob, out=heat[0], casting="same_kind")
        centres[0, row, column] += 1
        # The highest cell of the answer may lie beside the labelled one: the cells around it learn the same box.
        rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        part = blob[rows, columns]
        own = (part >= NEAR) & (part > near[0, rows, columns])
        near[0, rows, columns][own] = part[own]
        down, right = np.meshgrid(along[rows], along[columns], indexing="ij")
        for channel, (length, place, cell) in enumerate(((width, centre[0], right), (height, centre[1], down))):
            size[channel, rows, columns][own] = np.log(max(length, 0.25))
            offset[channel, rows, columns][own] = (place - cell)[own]
    return heat, size, offset, near, centres


def _known_cells(view: View, side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute where the number of lesions is known, and where their places are, each float32 (1, side, side)."""
    labelled = np.ones((side, side), dtype=np.float32)
    if view.unlabelled is not None:
        if len(view.unlabelled):
            cv2.fillPoly(labelled, [np.rint(view.unlabelled / LESION_STRIDE).astype(np.int32)], 0.0)
        else:
            labelled[:] = 0
    certain = labelled.copy()
    for x, y, width, height in view.doubtful / LESION_STRIDE:
        certain[max(int(y), 0) : int(np.ceil(y + height)), max(int(x), 0) : int(np.ceil(x + width))] = 0
    return labelled[None], certain[None]


def _generalised_overlap(raw: dict[str, Tensor], targets: Targets) -> Tensor:
    """Compute the generalised intersection over union of each cell's box (Rezatofighi et al., CVPR 2019), -1..1.

    Returns:
        float32 (batch, 1, cells, cells).
    """
    edges = []
    for source in (raw, targets):
        half = torch.exp(source["size"].float().clamp(*SIDE_LOGS)) / 2
        edges.append((source["offset"] - half, source["offset"] + half))
    (low, high), (true_low, true_high) = edges
    shared = (torch.minimum(high, true_high) - torch.maximum(low, true_low)).clamp(min=0).prod(dim=1, keepdim=True)
    around = (torch.maximum(high, true_high) - torch.minimum(low, true_low)).prod(dim=1, keepdim=True)
    either = (high - low).prod(dim=1, keepdim=True) + (true_high - true_low).prod(dim=1, keepdim=True) - shared
    return shared / either - (around - either) / around


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
