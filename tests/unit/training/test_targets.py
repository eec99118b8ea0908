"""What is not labelled trains nothing, what was counted trains the count, and other light moves skin alone."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("torch")

import torch
from torch import Tensor

from bentos.skin.photo.crop import CROP_SIZE, Crop
from bentos.skin.photo.landmarks import POINTS
from training import augment, losses
from training.crops import Example

CELLS = 64


def example(*boxes: tuple[float, float, float, float]) -> Example:
    """A grey crop whose landmarks lie on a circle of 120 px about its middle."""
    angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    landmarks = np.column_stack([256 + 120 * np.cos(angles), 256 + 120 * np.sin(angles), 0 * angles]).astype(np.float32)
    crop = Crop(
        np.full((CROP_SIZE, CROP_SIZE, 3), 120, np.uint8), np.eye(2, 3), (0, 0, CROP_SIZE, CROP_SIZE), landmarks
    )
    return Example(crop, "a", -1, np.array(boxes, dtype=np.float64).reshape(-1, 4), {})


def answer(density: float = 1e-6, heat: float = -12.0) -> dict[str, Tensor]:
    raw = {name: torch.zeros(1, width, CELLS, CELLS) for name, width in (("size", 2), ("offset", 2))}
    raw |= {"severity": torch.zeros(1, 4), "count": torch.zeros(1, 66)}
    return raw | {
        "heat": torch.full((1, 1, CELLS, CELLS), heat),
        "density": torch.full((1, 1, CELLS, CELLS), density),
    }


def losses_of(labelled: Example, raw: dict[str, Tensor]) -> dict[str, float]:
    targets = losses.lesion_targets([augment.whole_view(labelled, 4 * CELLS)])
    return {name: float(value) for name, value in losses.lesion_loss(raw, targets).items()}


def at(raw: dict[str, Tensor], x: int, y: int) -> dict[str, Tensor]:
    """The answer with one lesion at (x, y) in crop pixels."""
    heat, density = raw["heat"].clone(), raw["density"].clone()
    heat[0, 0, y // 8, x // 8], density[0, 0, y // 8, x // 8] = 12.0, 1.0
    return raw | {"heat": heat, "density": density}


def test_a_lesion_on_a_wrinkle_face_costs_nothing_and_one_beside_it_does() -> None:
    face = replace(example(), lesions_known="beside")
    for name in ("heat", "density"):
        assert losses_of(face, at(answer(), 256, 256))[name] < 0.01
        assert losses_of(face, at(answer(), 40, 40))[name] > 0.05
        assert losses_of(replace(face, lesions_known="nowhere"), at(answer(), 40, 40))[name] < 0.01


def test_what_the_second_team_took_for_a_lesion_is_neither_lesion_nor_background_but_is_not_counted() -> None:
    doubtful = replace(example(), severity=0, doubtful=np.array([[240.0, 240.0, 32.0, 32.0]]))
    lesion = at(answer(), 256, 256)
    assert losses_of(doubtful, lesion)["heat"] < 0.01
    assert losses_of(replace(doubtful, doubtful=np.empty((0, 4))), lesion)["heat"] > 1
    assert losses_of(doubtful, lesion)["density"] > 0.05


def test_a_counted_face_trains_the_count_outside_its_bounds_only() -> None:
    counted = replace(example(), lesions_known="beside", bounds=(2, 4))

    def cost(total: float) -> float:
        raw = answer()
        raw["density"][0, 0, CELLS // 2, CELLS // 2] = total  # in the middle of the face
        return losses_of(counted, raw)["density"]

    assert max(cost(2.5), cost(3.9)) < 0.01
    assert cost(0.1) > 0.1
    assert cost(30.0) > 0.3
    severity, count = losses.distribution(2, 4, -1)
    assert severity.argmax() == 0
    assert count[2:5].sum() > 0.6


def test_the_cells_about_a_centre_learn_the_same_box() -> None:
    targets = losses.lesion_targets([augment.whole_view(replace(example((200, 200, 48, 64)), severity=0), 4 * CELLS)])
    near = targets["near"][0, 0].nonzero().tolist()
    assert [29, 28] in near
    assert len(near) >= 5
    for row, column in near:
        left, top = targets["offset"][0, :, row, column] + torch.tensor([column, row])
        assert (float(left), float(top)) == pytest.approx((224 / 8, 232 / 8))
        assert targets["size"][0, :, row, column].exp().tolist() == pytest.approx([6, 8])


def test_a_box_beside_the_labelled_one_costs_more_the_farther_it_lies() -> None:
    labelled = replace(example((200, 200, 48, 64)), severity=0)
    targets = losses.lesion_targets([augment.whole_view(labelled, 4 * CELLS)])
    raw = answer() | {"size": targets["size"], "offset": targets["offset"]}
    costs = [
        float(losses.lesion_loss(raw | {"offset": targets["offset"] + shift}, targets)["box"])
        for shift in (0.0, 1, 5, 20)
    ]
    assert costs[0] < 1e-5
    assert costs == sorted(costs)
    assert costs[3] > 1  # beyond the box the loss still says where it lies


@pytest.mark.parametrize("shift", [-20.0, 12.0])
def test_another_tone_moves_skin_with_its_lesions_and_leaves_other_colours(shift: float) -> None:
    pixels = np.full((128, 128, 3), (0.25, 0.4, 0.75), dtype=np.float32)  # a blue wall
    pixels[16:112, 16:112] = np.array((205, 160, 135)) / 255
    pixels[60:66, 60:66] = np.array((175, 95, 90)) / 255
    moved = augment.shift_tone(pixels, shift)
    change = (moved - pixels).mean(axis=2)
    assert np.sign(change[40, 40]) == np.sign(shift)
    assert abs(change[40, 40]) > 0.05
    assert np.abs(change[2:8]).max() < 0.02
    redder = (moved[..., 0] - moved[..., 1])[62, 62] > (moved[..., 0] - moved[..., 1])[40, 40]
    assert redder
    grey = np.full((64, 64, 3), 0.5, dtype=np.float32)
    np.testing.assert_array_equal(augment.shift_tone(grey, shift), grey)
