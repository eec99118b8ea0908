"""Exports a trained run for the service: one ONNX file from pixels to peaks, and its calibration.

    python -m training.export                          # the run main, into .cache/training/runs/main/export
    python -m training.export --average other --bench  # the mean of two runs' weights, and its latency

The folder `export` of the run is replaced when all is written: model.onnx, calibration.json (its keys: `calibrate.fit`)
and figures.json (metrics on the held-out part; valid is left to `training.evaluate`). The export is refused where the
outputs of ONNX Runtime differ from those of torch, or those of a batch from those of single crops.
"""

from training import commands

if __name__ == "__main__":  # before torch, which --help does not need
    commands.export(__doc__).parse_args()

import json
import shutil
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from scipy.ndimage import maximum_filter
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from bentos.skin.inference import new_session
from bentos.skin.model.postprocess import Outputs
from bentos.skin.photo.crop import CROP_SIZE
from training import calibrate, checkpoint, data
from training.checkpoint import CheckpointError
from training.crops import RUNS, Example
from training.data import DataError
from training.labels import LondonFace
from training.network import INPUT_MEAN, INPUT_SCALE, LESION_STRIDE, SERVED_SIDE, WRINKLE_STRIDE, Encoder, SkinNetwork

OPSET = 17  # the newest that torch's scripting exporter writes well
OUTPUTS = ("heat", "size", "offset", "density", "severity", "count_distribution", "wrinkles", "wrinkle_maps")
SIZE_LIMIT = 14_000_000  # bytes of model.onnx; a bundle may have 20 MB
PARITY_CROPS, PARITY_BATCH = 50, 8  # crops on which torch and ONNX Runtime, and batches and single crops, are compared
TOLERANCE = 2e-3  # of an output's range: float32 sums in another order, through 60 layers
HEAT_MISMATCHES = 1e-4  # share of heat cells that may differ: of two nearly equal neighbours either may be the peak
PEAK_SPAN = 5  # cells across and down, within which a peak of the same height is the same one
BATCH = 4  # crops at a time; saves memory, is not faster
BOX_SIDES = (0.25, 64.0)  # cells; keeps exp() finite
WARM_UP, ROUNDS = 3, 30  # runs of the benchmark: not timed, and timed


class ExportError(Exception):
    """The export is wrong or cannot be written; the message says why."""


class ServedNetwork(nn.Module):
    """The network as it is served: from pixels to peaks and probabilities.

    Args:
        network: trained.
        side: px to which the crops are shrunk, a multiple of 32. The outputs keep the grid of 512 px: each cell of a
            coarser map is copied to one cell of the finer grid, with the offset to the same centre.
    """

    source: Tensor
    first: Tensor

    def __init__(self, network: SkinNetwork, side: int = SERVED_SIDE) -> None:
        super().__init__()
        self.network = network
        self.side = side
        cells = CROP_SIZE // LESION_STRIDE
        source = torch.arange(cells) * side // CROP_SIZE  # the coarse cell of each fine cell
        self.register_buffer("source", source)
        self.register_buffer("first", torch.cat([torch.ones(1), (source[1:] > source[:-1]).float()]))

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Compute the outputs in the order of OUTPUTS.

        Args:
            crops: uint8 (batch, 512, 512, 3), sRGB.

        Returns:
            float32 tensors: heat (batch, 128, 128), 0..1, 0 where one of the 8 neighbours is higher; size (batch, 128,
            128, 2), width and height in crop pixels; offset (batch, 128, 128, 2), of the centre from its cell's corner,
            in cells; density (batch,), lesions of the crop; severity (batch, 4) and count_distribution (batch, 66),
            probabilities; wrinkles (batch, 4), the highest cell of each zone's map; wrinkle_maps (batch, 64, 64, 4),
            probabilities.
        """
        x = crops.permute(0, 3, 1, 2).float().sub(INPUT_MEAN).div(INPUT_SCALE)
        if self.side != CROP_SIZE:
            x = functional.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        raw = self.network(x)
        heat = torch.sigmoid(raw["heat"])
        heat = self._spread(heat * (functional.max_pool2d(heat, 3, 1, 1) == heat).float()) * self.first
        finer = CROP_SIZE / self.side
        shift = self.source.float() * finer - torch.arange(len(self.source))  # of a coarse cell's corner, in fine cells
        offset = self._spread(raw["offset"]) * finer + torch.stack(
            [shift.expand(len(shift), -1), shift[:, None].expand(-1, len(shift))]
        )
        low, high = np.log(BOX_SIDES).tolist()
        size = torch.exp(self._spread(raw["size"]).clamp(low, high)) * (LESION_STRIDE * finer)
        maps, side = torch.sigmoid(raw["wrinkles"]), CROP_SIZE // WRINKLE_STRIDE
        return (
            (heat * self.first[:, None])[:, 0],
            size.permute(0, 2, 3, 1),
            offset.permute(0, 2, 3, 1),
            raw["density"].sum(dim=(1, 2, 3)),
            torch.softmax(raw["severity"], dim=1),
            torch.softmax(raw["count"], dim=1),
            maps.amax(dim=(2, 3)),
            functional.interpolate(maps, size=(side, side), mode="bilinear", align_corners=False).permute(0, 2, 3, 1),
        )

    def _spread(self, maps: Tensor) -> Tensor:
        """Repeat the cells of coarse maps (batch, channels, cells, cells) on the fine grid."""
        return maps.index_select(2, self.source).index_select(3, self.source)


def to_onnx(module: nn.Module, path: Path, names: tuple[str, ...] = OUTPUTS) -> None:
    """Write a module as ONNX with a dynamic batch size.

    Args:
        module: takes uint8 (batch, 512, 512, 3).
        path: the file to write.
        names: of the outputs.

    Raises:
        ExportError: the file cannot be written or is too large.
    """
    crops = torch.zeros(2, CROP_SIZE, CROP_SIZE, 3, dtype=torch.uint8)
    axes = {name: {0: "batch"} for name in ("crops", *names)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates this exporter, but the new one cannot write opset 17
        try:
            torch.onnx.export(
                module.eval(),
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
    _fold_padding(path)
    if path.stat().st_size > SIZE_LIMIT:
        raise ExportError(f"{path} has {path.stat().st_size:,} bytes; the limit is {SIZE_LIMIT:,}")


def _fold_padding(path: Path) -> None:
    """Give each convolution the zeros that a Pad node puts before it: the same outputs in .85 of the time."""
    model = onnx.load(path)
    graph = model.graph
    pads = {node.output[0]: node for node in graph.node if node.op_type == "Pad"}
    for node in graph.node:
        if node.op_type != "Conv" or node.input[0] not in pads:
            continue
        pad = pads[node.input[0]]
        graph.value_info.append(onnx.helper.make_tensor_value_info(pad.input[1], onnx.TensorProto.INT64, [8]))
        constant = onnx.utils.Extractor(model).extract_model([], [pad.input[1]])  # its nodes depend on no input
        (sides,) = ReferenceEvaluator(constant).run(None, {})
        own = next(attribute for attribute in node.attribute if attribute.name == "pads")
        own.ints[:] = [int(side) for side in (*sides[2:4], *sides[6:8])]  # of height and width, before and after
        node.input[0] = pad.input[0]
    outputs = {output.name for output in graph.output}
    while unused := [node for node in graph.node if not _used(graph, outputs).intersection(node.output)]:
        for node in unused:
            graph.node.remove(node)
    onnx.save(model, path)


def _used(graph: onnx.GraphProto, outputs: set[str]) -> set[str]:
    return outputs.union(*(node.input for node in graph.node))


def run(model: ort.InferenceSession, crops: NDArray[np.uint8], batch: int = BATCH, label: str | None = None) -> Outputs:
    """Run a model on many crops.

    Args:
        model: the session.
        crops: uint8 (n, 512, 512, 3), sRGB.
        batch: crops at a time.
        label: of the progress bar; None: no bar.

    Returns:
        Name → output of all crops, float32 (n, ...).
    """
    names = [output.name for output in model.get_outputs()]
    starts = tqdm(range(0, len(crops), batch), desc=label, disable=label is None, mininterval=5)
    rows = [model.run(names, {"crops": crops[k : k + batch]}) for k in starts]
    return {name: np.concatenate([row[number] for row in rows]) for number, name in enumerate(names)}


def run_london(model: ort.InferenceSession, photos: Path) -> tuple[list[LondonFace], Outputs]:
    """The labels of the London faces of the fit split, and the outputs of a network for them; none without a folder.

    Raises:
        DataError: as `data.london`.
    """
    if not (photos / "london").is_dir():
        note = f"there is no {photos / 'london'}: faces are called clear below {calibrate.CLEAR_BELOW} lesions"
        tqdm.write(note, file=sys.stderr)
        return [], {}
    faces = [pair for pair in data.london(photos) if pair[1].split == "fit"]
    return [label for _, label in faces], run(model, stack_pixels([example for example, _ in faces]), label="London")


def stack_pixels(examples: list[Example]) -> NDArray[np.uint8]:
    """Stack the crops of examples, uint8 (n, 512, 512, 3)."""
    return np.stack([example.crop.pixels for example in examples])


def require_equal(outputs: Outputs, expected: Outputs, comparison: str) -> None:
    """Check that outputs differ by rounding only.

    Args:
        outputs: name → output.
        expected: name → output.
        comparison: what is compared, for the message.

    Raises:
        ExportError: an output differs; the message names it and the difference.
    """
    for name in OUTPUTS:
        a, b = outputs[name].astype(np.float64), expected[name].astype(np.float64)
        if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise ExportError(f"{comparison}: {name} has shapes {a.shape} and {b.shape}, or is not finite")
        limit = TOLERANCE * max(1.0, float(np.abs(b).max()))
        different = np.abs(a - b) > limit
        if name == "heat":  # a network that was hardly trained has many: its heat is nearly the same everywhere
            near = [maximum_filter(heat, PEAK_SPAN, axes=(-2, -1)) for heat in (a, b)]
            different &= np.abs(np.maximum(a, b) - np.minimum(*near)) > limit
        if different.mean() > (HEAT_MISMATCHES if name == "heat" else 0.0):
            raise ExportError(f"{comparison}: {name} differs by {np.abs(a - b).max():.3g}; the limit is {limit:.3g}")


def check_parity(served: ServedNetwork, model: ort.InferenceSession, crops: NDArray[np.uint8]) -> None:
    """Compare torch with ONNX Runtime on all crops, and a batch of PARITY_BATCH with single crops.

    Args:
        served: the network in torch.
        model: the exported network.
        crops: uint8 (n, 512, 512, 3).

    Raises:
        ExportError: the outputs differ.
    """
    rows: list[tuple[NDArray[np.float32], ...]] = []
    served.eval()
    with torch.no_grad():
        for k in range(0, len(crops), BATCH):
            rows.append(tuple(value.numpy() for value in served(torch.from_numpy(crops[k : k + BATCH]))))
    expected = {name: np.concatenate([row[number] for row in rows]) for number, name in enumerate(OUTPUTS)}
    require_equal(run(model, crops), expected, "ONNX Runtime against torch")
    few = crops[:PARITY_BATCH]
    require_equal(run(model, few, PARITY_BATCH), run(model, few, 1), f"a batch of {PARITY_BATCH} against single crops")


def benchmark(path: Path, folder: Path, rounds: int = ROUNDS, threads: int = 2) -> dict[str, float]:
    """Measure the latency of a model and of EfficientNet-Lite0 without neck and heads, in turns.

    Args:
        path: the ONNX file.
        folder: for a temporary file.
        rounds: timed runs of each.
        threads: of ONNX Runtime.

    Returns:
        model_ms and bare_ms, the lower quartile in milliseconds a crop; ratio, model over bare.
    """

    class BareEncoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Encoder()

        def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
            maps = self.encoder(crops.permute(0, 3, 1, 2).float().sub(INPUT_MEAN).div(INPUT_SCALE))
            return (maps[-1].mean(dim=(2, 3)),)

    bare = folder / "bare.onnx"
    to_onnx(BareEncoder(), bare, ("features",))
    models = {"model": new_session(path, threads), "bare": new_session(bare, threads)}
    crop = np.random.default_rng(0).integers(0, 256, (1, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    times: dict[str, list[float]] = {name: [] for name in models}
    for number in range(WARM_UP + rounds):
        for name, model in models.items():
            start = time.perf_counter()
            model.run(None, {"crops": crop})
            if number >= WARM_UP:
                times[name].append((time.perf_counter() - start) * 1000)
    bare.unlink()
    # The lower quartile is hardly affected by other programs on the machine.
    measured = {f"{name}_ms": float(np.quantile(values, 0.25)) for name, values in times.items()}
    measured["ratio"] = measured["model_ms"] / measured["bare_ms"]
    return {name: round(value, 3) for name, value in measured.items()}


def export(folder: Path, photos: Path, others: tuple[Path, ...] = (), timed: bool = False) -> dict[str, Any]:
    """Export the averaged weights of a run's checkpoint.

    Args:
        folder: of the run.
        photos: folder that holds lesions or acne04, and wrinkles.
        others: folders of runs that branched off this one; the mean of all runs' weights is exported.
        timed: whether to measure the latency.

    Returns:
        The content of figures.json.

    Raises:
        CheckpointError: a checkpoint is missing or belongs to another network.
        DataError: the photos for the calibration are missing or broken.
        ExportError: the export is wrong or cannot be written.
    """
    contents = []
    network = SkinNetwork()
    for path in [run / "checkpoint.pt" for run in (folder, *others)]:
        contents.append(checkpoint.read(path))
        checkpoint.load_weights(network, contents[-1]["average"], path)
    # Model soups (Wortsman et al., ICML 2022): runs from one start lie in one basin of the loss, and their mean lower.
    mean = {
        name: torch.stack([content["average"][name] for content in contents]).mean(0) for name in network.state_dict()
    }
    network.load_state_dict(mean)
    served = ServedNetwork(network)
    labelled = data.load(photos)
    part, target = folder / ".export.part", folder / "export"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        to_onnx(served, part / "model.onnx")
        model = new_session(part / "model.onnx", threads=2)
        held_out = labelled.held_out
        tqdm.write(f"comparing ONNX Runtime with torch on {PARITY_CROPS} crops", file=sys.stderr)
        check_parity(served, model, stack_pixels((held_out.acne + held_out.wrinkles)[:PARITY_CROPS]))
        acne = run(model, stack_pixels(held_out.acne), label="held-out acne")
        wrinkles = run(model, stack_pixels(held_out.wrinkles), label="held-out wrinkles")
        numbers = calibrate.fit(held_out.acne, acne, held_out.wrinkles, wrinkles, *run_london(model, photos))
        figures: dict[str, Any] = {
            "runs": {
                run.name: {"steps": content["step"], "settings": content["settings"]}
                for run, content in zip((folder, *others), contents, strict=True)
            },
            "held_out": calibrate.measure(numbers, held_out.acne, acne, held_out.wrinkles, wrinkles),
        }
        if timed:
            figures["latency"] = benchmark(part / "model.onnx", part)
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
    options = commands.export(__doc__).parse_args()
    try:
        others = tuple(RUNS / name for name in options.average)
        print(json.dumps(export(RUNS / options.run, options.data, others, options.bench), indent=1))
    except (CheckpointError, DataError, ExportError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
