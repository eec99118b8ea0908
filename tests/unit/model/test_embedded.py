"""The embedded bundle: small, complete, with a licence of its own, and measured."""

import numpy as np

from bentos.skin.model.bundle import MODEL, read
from bentos.skin.model.engine import EMBEDDED, OnnxEngine, picture
from bentos.skin.photo.crop import cut
from bentos.skin.photo.decode import decode
from bentos.skin.photo.face import FaceDetector
from tests.server import PORTRAIT, ROOT

MAX_BYTES = 20_000_000
BUNDLE = read(EMBEDDED)


def test_it_is_whole_small_and_passes_its_self_test() -> None:
    OnnxEngine(BUNDLE, threads=1)
    assert sum(entry.size for entry in BUNDLE.manifest.files.values()) < MAX_BYTES
    assert BUNDLE.manifest.files[MODEL].size > 1_000_000  # a network, no stand-in


def test_its_self_test_shows_the_portrait_that_is_free_to_redistribute() -> None:
    photo = decode(PORTRAIT.read_bytes())
    face = cut(photo, FaceDetector().detect(photo)[0]).pixels.astype(np.float64)
    shown = picture(BUNDLE.manifest.self_test.png).astype(np.float64)
    assert np.corrcoef(face.ravel(), shown.ravel())[0, 1] > 0.98


def test_its_terms_are_its_own() -> None:
    terms = (EMBEDDED / "LICENSE.weights").read_text()
    assert "research" in BUNDLE.manifest.notice
    assert BUNDLE.manifest.license in terms
    for text in (terms, (ROOT / "training" / "MODEL_CARD.md").read_text(), (ROOT / "README.md").read_text()):
        assert "research\nand evaluation only" in text or "research and evaluation only" in text.replace("\n    ", " ")


def test_its_figures_are_those_of_the_model_card() -> None:
    card = (ROOT / "training" / "MODEL_CARD.md").read_text()
    assert BUNDLE.manifest.files[MODEL].sha256 in card
    accuracy = BUNDLE.metrics["acne"]["severity_accuracy"]
    assert f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]" in card


def test_crops_of_a_batch_do_not_touch_each_other() -> None:
    photo = decode(PORTRAIT.read_bytes())
    crop = cut(photo, FaceDetector().detect(photo)[0]).pixels
    crops = np.stack([crop, crop[:, ::-1], 255 - crop, crop // 2, crop, crop, crop, crop])
    engine = OnnxEngine(BUNDLE, threads=1)
    together, alone = engine.run(crops), [engine.run(crops[k : k + 1]) for k in range(len(crops))]
    for name, values in together.items():
        expected = np.concatenate([output[name] for output in alone])
        off = np.abs(values - expected) > 1e-3 * max(1.0, float(np.abs(expected).max()))
        assert off.mean() < (1e-4 if name in ("heat", "size", "offset") else 1e-12), name
