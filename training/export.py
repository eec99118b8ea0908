"""Export a trained run for serving: ONNX with everything from bytes to peaks inside, and its calibration.

    python -m training.export                          # .cache/training/runs/main/export
    python -m training.export --average second --bench # the mean of two runs' weights, timed beside bare Lite0

The folder is written whole or not at all: model.onnx, calibration.json (keys: `calibrate.fit`), figures.json (held-out
and valid). The model is refused where ONNX Runtime's answers differ from torch's, or a batch's from single crops'.
"""

import argparse
import json
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bentos.skin.model.engine import new_session
from bentos.skin.model.postprocess import Outputs
from bentos.skin.photo.crop import CROP_SIZE
from training import calibrate, checkpoint, data, labels
from training.checkpoint import CheckpointError
from training.crops import Example
from training.data import DataError
from training.network import INPUT_MEAN, INPUT_SCALE, LESION_STRIDE, SERVED_SIDE, WRINKLE_STRIDE, Encoder, SkinNetwork
from training.train import RUNS

OPSET = 17  # the newest that torch's scripting exporter writes well
OUTPUTS = ("heat", "size", "offset", "density", "severity", "count_distribution", "wrinkles", "wrinkle_maps")
SIZE_LIMIT = 14_000_000  # bytes of model.onnx; a bundle may have 20 MB
PARITY_CROPS, PARITY_BATCH = 50, 8
TOLERANCE = 2e-3  # of an output's range: float32 sums in another order, through 60 layers
SWAPPED = 1e-4  # share of heat cells that may differ: where two neighbours are equal but for rounding
BATCH = 4  # crops at a time; memory, not speed
SIZE_LIMITS = (0.25, 64.0)  # cells; keeps exp() finite


class ExportError(Exception):
    """The network cannot be served as exported; the message says why."""


class Served(nn.Module):
    """The network as it is served: bytes in, peaks and chances out.

    Args:
        network: trained.
        side: px that crops are shrunk to, a multiple of 32. The outputs keep the grid of 512: each cell of the coarser
            maps is put into one of the finer ones, with the offset that leads to the same centre.
    """

    source: Tensor
    first: Tensor

    def __init__(self, network: SkinNetwork, side: int = SERVED_SIDE) -> None:
        super().__init__()
        self.network = network
        self.side = side
        cells = CROP_SIZE // LESION_STRIDE
        source = torch.arange(cells) * side // CROP_SIZE  # the coarser cell of each finer one
        self.register_buffer("source", source)
        self.register_buffer("first", torch.cat([torch.ones(1), (source[1:] > source[:-1]).float()]))

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Answers in the order of OUTPUTS.

        Args:
            crops: uint8 (batch, 512, 512, 3), sRGB.

        Returns:
            heat (batch, 128, 128), 0..1, 0 where a neighbour of the 3×3 cells is higher; size (batch, 128, 128, 2),
            width and height in crop pixels; offset (batch, 128, 128, 2) in cells, where there is a peak; density
            (batch,), lesions; severity (batch, 4); count_distribution (batch, 66); wrinkles (batch, 4), highest of the
            zones' maps; wrinkle_maps (batch, 64, 64, 4).
        """
        x = crops.permute(0, 3, 1, 2).float().sub(INPUT_MEAN).div(INPUT_SCALE)
        if self.side != CROP_SIZE:
            x = functional.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        raw = self.network(x)
        heat = torch.sigmoid(raw["heat"])
        heat = self._spread(heat * (functional.max_pool2d(heat, 3, 1, 1) == heat).float()) * self.first
        finer = CROP_SIZE / self.side
        shift = self.source.float() * finer - torch.arange(len(self.source))  # of a cell's corner, in finer cells
        offset = self._spread(raw["offset"]) * finer + torch.stack(
            [shift.expand(len(shift), -1), shift[:, None].expand(-1, len(shift))]
        )
        low, high = np.log(SIZE_LIMITS).tolist()
        size = torch.exp(self._spread(raw["size"]).clamp(low, high)) * (LESION_STRIDE * finer)
        maps, wide = torch.sigmoid(raw["wrinkles"]), CROP_SIZE // WRINKLE_STRIDE
        return (
            (heat * self.first[:, None])[:, 0],
            size.permute(0, 2, 3, 1),
            offset.permute(0, 2, 3, 1),
            raw["density"].sum(dim=(1, 2, 3)),
            torch.softmax(raw["severity"], dim=1),
            torch.softmax(raw["count"], dim=1),
            maps.amax(dim=(2, 3)),
            functional.interpolate(maps, size=(wide, wide), mode="bilinear", align_corners=False).permute(0, 2, 3, 1),
        )

    def _spread(self, maps: Tensor) -> Tensor:
        """Maps (batch, channels, cells, cells) of the coarser grid on the finer one, cells repeated."""
        return maps.index_select(2, self.source).index_select(3, self.source)


def to_onnx(served: nn.Module, path: Path, names: tuple[str, ...] = OUTPUTS) -> None:
    """Write a module from uint8 crops to named outputs as ONNX with a dynamic batch.

    Raises:
        ExportError: the disk is full, or the file too large.
    """
    crops = torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8)
    axes = {name: {0: "batch"} for name in ("crops", *names)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates this exporter; the new one writes no opset 17
        try:
            torch.onnx.export(
                served.eval(),
                (crops,),
                path,
                input_names=["crops"],
                output_names=list(names),
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
        except (OSError, RuntimeError) as error:
            raise ExportError(f"{path} could not be written: {error}") from error
    if path.stat().st_size > SIZE_LIMIT:
        raise ExportError(f"{path} has {path.stat().st_size:,} bytes, more than the {SIZE_LIMIT:,} that are served")


def run(model: ort.InferenceSession, crops: NDArray[np.uint8], batch: int = BATCH) -> Outputs:
    """All outputs of many crops, uint8 (n, 512, 512, 3), by name."""
    names = [output.name for output in model.get_outputs()]
    rows = [model.run(names, {"crops": crops[k : k + batch]}) for k in range(0, len(crops), batch)]
    return {name: np.concatenate([row[place] for row in rows]) for place, name in enumerate(names)}


def pixels(examples: list[Example]) -> NDArray[np.uint8]:
    """The crops of examples, (n, 512, 512, 3)."""
    return np.stack([example.crop.pixels for example in examples])


def compare(one: Outputs, other: Outputs, what: str) -> None:
    """Refuse outputs that differ by more than rounding.

    Raises:
        ExportError: naming the output and by how much.
    """
    for name in OUTPUTS:
        a, b = one[name].astype(np.float64), other[name].astype(np.float64)
        if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise ExportError(f"{what}: {name} has shapes {a.shape} and {b.shape}, or is not finite")
        limit = TOLERANCE * max(1.0, float(np.abs(b).max()))
        off = np.abs(a - b) > limit
        if off.mean() > (SWAPPED if name == "heat" else 0.0):
            raise ExportError(f"{what}: {name} differs by {np.abs(a - b).max():.3g}, allowed are {limit:.3g}")


def check_parity(served: Served, model: ort.InferenceSession, crops: NDArray[np.uint8]) -> None:
    """Torch against ONNX Runtime on all crops, and a batch of PARITY_BATCH against single crops.

    Raises:
        ExportError: they differ.
    """
    mine: list[tuple[NDArray[np.float32], ...]] = []
    served.eval()
    with torch.no_grad():
        for k in range(0, len(crops), BATCH):
            mine.append(tuple(value.numpy() for value in served(torch.from_numpy(crops[k : k + BATCH]))))
    expected = {name: np.concatenate([row[place] for row in mine]) for place, name in enumerate(OUTPUTS)}
    compare(run(model, crops), expected, "ONNX Runtime against torch")
    few = crops[:PARITY_BATCH]
    compare(run(model, few, PARITY_BATCH), run(model, few, 1), f"a batch of {PARITY_BATCH} against single crops")


def bench(path: Path, folder: Path, rounds: int = 30, threads: int = 2) -> dict[str, float]:
    """Median milliseconds of a crop, and of bare EfficientNet-Lite0 from the same bytes, taken in turns."""

    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder()

        def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
            maps = self.encoder(crops.permute(0, 3, 1, 2).float().sub(INPUT_MEAN).div(INPUT_SCALE))
            return (maps[-1].mean(dim=(2, 3)),)

    bare = folder / "bare.onnx"
    to_onnx(Bare(), bare, ("features",))
    models = {"model": new_session(path, threads), "bare": new_session(bare, threads)}
    crop = np.random.default_rng(0).integers(0, 256, (1, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(rounds + 3):
        for name, model in models.items():
            start = time.perf_counter()
            model.run(None, {"crops": crop})
            if number >= 3:
                times[name].append((time.perf_counter() - start) * 1000)
    bare.unlink()
    # The fastest quarter: what the machine does when its neighbours are quiet.
    found = {f"{name}_ms": float(np.quantile(values, 0.25)) for name, values in times.items()}
    found["ratio"] = found["model_ms"] / found["bare_ms"]
    return {name: round(value, 3) for name, value in found.items()}


def export(folder: Path, photos: Path, others: tuple[Path, ...] = (), timed: bool = False) -> dict[str, Any]:
    """Export the averaged weights of a run's checkpoint; returns the figures.

    Args:
        folder: of the run.
        photos: folder of acne04 and wrinkles.
        others: runs that branched off this one, whose weights are averaged with its.
        timed: whether to measure latency.

    Raises:
        CheckpointError: there is no checkpoint, or it is of another network.
        DataError: the photos to calibrate on are missing or broken.
        ExportError: the export is wrong or cannot be written.
    """
    contents = []
    network = SkinNetwork()
    for path in [run / "checkpoint.pt" for run in (folder, *others)]:
        contents.append(checkpoint.read(path))
        checkpoint.load(network, contents[-1]["average"], path)
    # Wortsman et al., Model soups (ICML 2022): runs of one beginning lie in one valley, and their mean deeper in it.
    mean = {
        name: torch.stack([content["average"][name] for content in contents]).mean(0) for name in network.state_dict()
    }
    network.load_state_dict(mean)
    served = Served(network)
    labelled, valid = data.load(photos), data.load_valid(photos)
    part, target = folder / ".export.part", folder / "export"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        to_onnx(served, part / "model.onnx")
        model = new_session(part / "model.onnx", threads=2)
        held = labelled.held_out
        check_parity(served, model, pixels((held.acne + held.wrinkles)[:PARITY_CROPS]))
        own = [run(model, pixels(examples)) for examples in (held.acne, held.wrinkles)]
        numbers = calibrate.fit(held.acne, own[0], held.wrinkles, own[1])
        figures: dict[str, Any] = {
            "runs": {
                run.name: {"steps": content["step"], "settings": content["settings"]}
                for run, content in zip((folder, *others), contents, strict=True)
            },
            "held_out": calibrate.measure(numbers, held.acne, own[0], held.wrinkles, own[1]),
        }
        other = [run(model, pixels(examples)) for examples in (valid.acne, valid.wrinkles)]
        figures["valid"] = calibrate.measure(numbers, valid.acne, other[0], valid.wrinkles, other[1])
        if timed:
            figures["latency"] = bench(part / "model.onnx", part)
        (part / "calibration.json").write_text(json.dumps(numbers, indent=1) + "\n")
        (part / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)
    except OSError as error:
        raise ExportError(f"{target} could not be written: {error.strerror}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=labels.DATA, help="folder of acne04 and wrinkles (%(default)s)")
    parser.add_argument("--run", default="main", help="name of the run (%(default)s)")
    parser.add_argument("--average", nargs="*", default=[], metavar="RUN", help="runs that branched off it")
    parser.add_argument("--bench", action="store_true", help="time it beside bare EfficientNet-Lite0")
    wanted = parser.parse_args()
    try:
        others = tuple(RUNS / name for name in wanted.average)
        print(json.dumps(export(RUNS / wanted.run, wanted.data, others, wanted.bench), indent=1))
    except (CheckpointError, DataError, ExportError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
