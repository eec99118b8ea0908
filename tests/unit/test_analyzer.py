"""`Analyzer`: kinds of photos, many photos, threads, pickles, a network that fails."""

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bentos.skin import Analyzer, errors
from bentos.skin.schema import Analysis
from tests.server import PORTRAIT


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(threads=2)


@pytest.fixture(scope="module")
def expected(analyzer: Analyzer) -> dict[str, Any]:
    return findings(analyzer.analyze(PORTRAIT))


def findings(analysis: object) -> dict[str, Any]:
    assert isinstance(analysis, Analysis)
    return analysis.model_dump(exclude={"request_id", "timing_ms"})


@pytest.mark.parametrize(
    "kind", ["path", "text", "bytes", "bytearray", "image", "array", "RGBA", "a view that is not contiguous"]
)
def test_every_kind_of_photo_is_taken(analyzer: Analyzer, expected: dict[str, Any], kind: str) -> None:
    with Image.open(PORTRAIT) as opened:
        image = opened.convert("RGB")
    pixels = np.asarray(image)
    photos: dict[str, Any] = {
        "path": PORTRAIT,
        "text": str(PORTRAIT),
        "bytes": PORTRAIT.read_bytes(),
        "bytearray": bytearray(PORTRAIT.read_bytes()),
        "image": image,
        "array": pixels,
        "RGBA": np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]),
        "a view that is not contiguous": np.ascontiguousarray(pixels[:, ::-1])[:, ::-1],
    }
    assert findings(analyzer.analyze(photos[kind])) == expected


def test_an_image_is_turned_by_its_orientation_and_reads_its_profile(analyzer: Analyzer) -> None:
    with Image.open(PORTRAIT) as opened:
        image = opened.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = BytesIO()
    image.save(buffer, "PNG", exif=exif)
    with Image.open(buffer) as stored:
        assert findings(analyzer.analyze(stored)) == findings(analyzer.analyze(buffer.getvalue()))


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((100, 100, 3)),
        np.zeros((100, 100, 2), np.uint8),
        np.zeros((3, 100), np.float32),
        np.zeros((2, 100, 100, 3), np.uint8),
    ],
)
def test_another_array_is_refused(analyzer: Analyzer, photo: Any) -> None:
    with pytest.raises(ValueError, match="uint8"):
        analyzer.analyze(photo)


def test_another_type_is_refused_by_its_name(analyzer: Analyzer) -> None:
    with pytest.raises(TypeError, match="not int"):
        analyzer.analyze(3)  # type: ignore[arg-type]


def test_errors_are_those_of_the_endpoints(analyzer: Analyzer, tmp_path: Path) -> None:
    with pytest.raises(errors.ImageTooSmall):
        analyzer.analyze(np.zeros((20, 90), np.uint8))
    with pytest.raises(errors.ImageTooManyPixels):
        analyzer.analyze(Image.new("L", (8000, 6000)))
    with pytest.raises(errors.ImageUnreadable):
        analyzer.analyze(PORTRAIT.read_bytes()[:9000])
    with pytest.raises(errors.BadRequest, match="min_confidence"):
        analyzer.analyze(PORTRAIT, min_confidence=7)
    with pytest.raises(errors.BadRequest, match="layers"):
        analyzer.overlay(PORTRAIT, layers=["shoes"])
    with pytest.raises(FileNotFoundError):
        analyzer.analyze(tmp_path / "nobody.jpg")
    cut = Image.open(BytesIO(PORTRAIT.read_bytes()[:9000]))
    with pytest.raises(errors.ImageUnreadable):
        analyzer.analyze(cut)


def test_many_keep_their_order_and_a_bad_one_is_its_own_item(
    analyzer: Analyzer, expected: dict[str, Any], tmp_path: Path
) -> None:
    taken: list[int] = []

    def photos() -> Iterator[Any]:
        for number in range(9):
            taken.append(number)
            yield {3: b"no photo", 5: tmp_path / "nobody.jpg"}.get(number, PORTRAIT)

    answers = analyzer.analyze_many(photos(), batch_size=3)
    first = next(answers)
    assert len(taken) == 3  # no more are read ahead
    items = [first, *answers]
    assert len(items) == 9
    assert isinstance(items[3], errors.ImageFormatUnsupported)
    assert isinstance(items[5], FileNotFoundError)
    assert [findings(item) for number, item in enumerate(items) if number not in (3, 5)] == [expected] * 7


def test_many_that_are_given_up_end_at_once(analyzer: Analyzer) -> None:
    before = set(threading.enumerate())
    answers = analyzer.analyze_many([PORTRAIT] * 50, batch_size=4)
    next(answers)
    answers.close()  # type: ignore[attr-defined]  # a generator
    assert not {thread for thread in threading.enumerate() if thread.name.startswith("photo")} - before


def test_of_several_threads(analyzer: Analyzer, expected: dict[str, Any]) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert [findings(item) for item in pool.map(analyzer.analyze, [PORTRAIT] * 8)] == [expected] * 8


def test_a_pickle_arrives_as_another_with_the_same_settings(analyzer: Analyzer, expected: dict[str, Any]) -> None:
    arrived = pickle.loads(pickle.dumps(analyzer))  # noqa: S301  of this test
    assert repr(arrived) == repr(analyzer) == "Analyzer(weights=None, threads=2)"
    assert findings(arrived.analyze(PORTRAIT)) == expected


def test_a_network_that_fails_is_replaced_and_said(expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    analyzer = Analyzer()

    def fails(_crops: object) -> Any:
        raise RuntimeError("of ONNX Runtime")

    monkeypatch.setattr(analyzer._model, "predict", fails)
    found = analyzer.analyze(PORTRAIT)
    assert (found.source, found.degraded, found.reason, found.model) == ("heuristic", True, "model_crashed", None)
    assert findings(found) != expected
    with pytest.raises(errors.ModelUnavailable):
        analyzer.analyze(PORTRAIT, require="model")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="ftp"):
        Analyzer("ftp://example.org/weights")
    for threads in (0, "2", 1.5, True):
        with pytest.raises(ValueError, match=r"threads is .*; it must be a whole number from 1"):
            Analyzer(threads=threads)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [3, b"weights", ""])
def test_weights_are_named_by_a_path_or_an_address(weights: Any) -> None:
    with pytest.raises(TypeError, match=r"weights is .*; it must be a folder, s3://bucket/prefix, or None"):
        Analyzer(weights)
    with pytest.raises(ValueError, match=r"^weights is 'http://x'"):
        Analyzer("http://x")


def test_numbers_of_numpy_are_numbers(analyzer: Analyzer) -> None:
    assert repr(Analyzer(threads=np.int64(1))) == "Analyzer(weights=None, threads=1)"  # type: ignore[arg-type]
    few, many = (
        len(analyzer.analyze(PORTRAIT, min_confidence=np.float32(least)).concerns.acne.boxes)  # type: ignore[arg-type]
        for least in (1, 0)
    )
    assert few < many


def test_a_process_that_was_forked_analyses_too() -> None:
    code = f"""
import multiprocessing, warnings
from bentos.skin import Analyzer
analyzer = Analyzer()
def score(path): return analyzer.analyze(path).concerns.texture.score
expected = score({str(PORTRAIT)!r})
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(score, [{str(PORTRAIT)!r}] * 3) == [expected] * 3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "True\n"


def test_names_are_taken_as_a_list_and_none_is_as_if_left_out(analyzer: Analyzer) -> None:
    assert analyzer.analyze(PORTRAIT, include=None).outlines is None
    assert analyzer.analyze(PORTRAIT, include=("outlines",)).outlines is not None
    with pytest.raises(errors.BadRequest, match="'include' is 'outlines'; it must be a list"):
        analyzer.analyze(PORTRAIT, include="outlines")


def test_weights_that_cannot_be_used_are_logged_with_their_cause(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    status = Analyzer(tmp_path / "nowhere").status
    assert f"weights cannot be loaded: There is no weights bundle at {tmp_path}/nowhere." in caplog.text
    assert len(repr(status)) < 1000


def test_pools_are_limited_also_where_numpy_was_imported_before() -> None:
    code = """
import numpy, os
from bentos.skin import Analyzer
Analyzer()
from threadpoolctl import threadpool_info
print({pool["num_threads"] for pool in threadpool_info()})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{1}"


def test_the_server_does_not_import_it() -> None:
    code = "import bentos.skin, sys; print('bentos.skin.analyzer' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"


def test_findings_and_picture_of_one_call_are_those_of_two(analyzer: Analyzer, expected: dict[str, Any]) -> None:
    analysis, picture = analyzer.illustrate(PORTRAIT, width=300, legend=False)
    assert findings(analysis) == expected
    assert picture == analyzer.overlay(PORTRAIT, width=300, legend=False)


def test_no_more_of_a_file_is_read_than_a_photo_may_have(analyzer: Analyzer, tmp_path: Path) -> None:
    large = tmp_path / "film.jpg"
    with large.open("wb") as file:
        file.write(PORTRAIT.read_bytes()[:100])
        file.truncate(3 << 30)  # nothing of it is on the disk
    for path in (large, Path("/dev/zero")):
        with pytest.raises(errors.BodyTooLarge, match="more than 10,485,760 bytes"):
            analyzer.analyze(path)


def test_wrong_items_are_items_and_one_photo_is_no_list(analyzer: Analyzer) -> None:
    items = list(analyzer.analyze_many([3, np.zeros((90, 90)), PORTRAIT]))  # type: ignore[list-item]
    assert [type(item) for item in items] == [TypeError, ValueError, Analysis]
    for photo in (str(PORTRAIT), PORTRAIT, b"", np.zeros((90, 90, 3), np.uint8)):
        with pytest.raises(TypeError, match="give a list"):
            analyzer.analyze_many(photo)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size"):
        analyzer.analyze_many([PORTRAIT], batch_size=0)
    with pytest.raises(ValueError, match="batch_size is '2'"):
        analyzer.analyze_many([PORTRAIT], batch_size="2")  # type: ignore[arg-type]


def test_errors_and_answers_are_where_the_analyzer_is() -> None:
    import bentos.skin

    assert bentos.skin.ShineError is errors.ShineError
    assert bentos.skin.Analysis is Analysis
