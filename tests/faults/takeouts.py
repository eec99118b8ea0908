"""Does each row of the matrix fail when the code that serves it is taken out? `python -m tests.faults.takeouts`.

    python -m tests.faults.takeouts             # all, about 25 minutes
    python -m tests.faults.takeouts 8 17        # those rows

Each take-out is tried on a copy of the project. A row that passes without its code proves nothing: exit code 1.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.server import ROOT

BUNDLE, ENGINE, S3 = "bentos/skin/model/bundle.py", "bentos/skin/model/engine.py", "bentos/skin/model/s3.py"
CACHE, LIFECYCLE, POISON = (f"bentos/skin/model/{name}.py" for name in ("cache", "lifecycle", "poison"))
GATEWAY, PUBLISH = "bentos/skin/runtime/gateway.py", "training/publish.py"
UPLOADS = "    for file in (MODEL, METRICS, MANIFEST):"
COPIED = ("bentos", "tests", "training", "service.py", "pyproject.toml")

Edit = tuple[str, str, str]  # file or glob, what stands there, what stands there instead


@dataclass(frozen=True, slots=True)
class TakeOut:
    """Rows that must fail once some code is gone.

    Attributes:
        rows: by what `pytest -k` selects them by, for people their number first.
        edits: what is taken out; several where one guard stands behind another.
    """

    rows: dict[int, str]
    edits: tuple[Edit, ...]


SURVIVES = (LIFECYCLE, "except Exception as error:  # whatever", "except MemoryError as error:  # whatever")
CHECKSUMS: tuple[Edit, ...] = (
    (S3, "if found != entry.sha256:", "if False:"),
    (BUNDLE, "if found != entry.sha256:", "if False:"),
)
FALLBACK = tuple(
    (GATEWAY, f"except {lost}:\n            return None", f"except {never}:\n            return None")
    for lost, never in (
        ("RunnerFailed as failure", "MemoryError as failure"),
        ("ModelNotReady as refusal", "MemoryError as refusal"),
    )
)

TAKE_OUTS = (
    TakeOut({1: "no-weights", 2: "manifest-missing"}, ((S3, "if manifest is None:", "if False:"),)),
    TakeOut(
        {3: "not-JSON"},
        ((BUNDLE, "except (ValueError, TypeError, KeyError, RecursionError):", "except KeyError:"), SURVIVES),
    ),
    TakeOut({4: "unknown-key"}, ((BUNDLE, 'extra="forbid"', 'extra="ignore"'),)),
    TakeOut({5: "format-version-newer"}, ((BUNDLE, "if version != FORMAT_VERSION:", "if False:"),)),
    TakeOut(
        {6: "file-missing"},
        ((S3, "if code in MISSING:\n                    raise", "if False:\n                    raise"),),
    ),
    TakeOut({7: "size-wrong"}, ((S3, 'if have + answer["ContentLength"] != entry.size or', "if"),)),
    TakeOut({8: "checksum-wrong"}, CHECKSUMS),
    TakeOut({9: "pin-wrong"}, ((S3, "if self._pin is not None and sha256 != self._pin:", "if False:"),)),
    TakeOut({10: "ONNX-corrupt"}, ((ENGINE, "except Exception as error:  # ONNX", "except MemoryError as error:  #"),)),
    TakeOut({11: "other-inputs"}, ((ENGINE, "if lacking or [", "if False and ["),)),
    TakeOut({12: "self-test-output-off", 33: "test_33"}, ((ENGINE, "if off > test.tolerance:", "if False:"),)),
    TakeOut({13: "NaN-output"}, ((POISON, "if not np.isfinite(values).all():", "if False:"),)),
    TakeOut(
        {14: "S3-refuses", 15: "S3-hangs"},
        (
            (
                S3,
                "CUT = (BotoCoreError, HTTPClientError, HTTPError, ConnectionError, TimeoutError, RecursionError)",
                "CUT = (RecursionError,)",
            ),
        ),
    ),
    TakeOut({16: "test_16"}, ((S3, "if time.monotonic() - since > STALL_S:", "if False:"),)),
    TakeOut(
        {17: "test_17"}, ((S3, "have = path.stat().st_size if path.exists() and tag.exists() else 0", "have = 0"),)
    ),
    TakeOut(
        {18: "18-403", 20: "SlowDown"},
        ((S3, 'return BundleError("weights_unreachable", f"S3 ', 'return BundleError("weights_corrupt", f"S3 '),),
    ),
    TakeOut({19: "404-bucket"}, ((S3, 'if code == "NoSuchBucket":', "if False:"),)),
    TakeOut({21: "test_21"}, ((S3, '"IfMatch": tag.read_text()', ""),)),
    TakeOut(
        {22: "disk-full", 23: "cache-read-only"},
        (
            (CACHE, "except OSError as error:", "except MemoryError as error:"),
            (S3, "except OSError as error:", "except MemoryError as error:"),
        ),
    ),
    TakeOut({24: "test_24"}, (CHECKSUMS[1],)),
    TakeOut({25: "test_25"}, ((CACHE, "fcntl.flock(file, fcntl.LOCK_EX)", "pass"),)),
    TakeOut({26: "test_26", 27: "test_27", 28: "test_28", 30: "30-workers", 31: "test_31"}, FALLBACK),
    TakeOut(
        {29: "29-workers"},
        (
            (
                GATEWAY,
                "return await self.measure(square)\n        except RunnerFailed",
                "return await self.measure(square)\n        except MemoryError",
            ),
            ("bentos/skin/runtime/runners.py", "ATTEMPTS = 2", "ATTEMPTS = 1"),
        ),
    ),
    TakeOut(
        {32: "test_32"}, ((LIFECYCLE, "return newest is not None and newest != serving.info.sha256", "return False"),)
    ),
    TakeOut(
        {34: "test_34"},
        (
            (
                PUBLISH,
                UPLOADS,
                "    _write_current(location, name, version, weights.sha256, current, tag)\n" + UPLOADS,
            ),
        ),
    ),
    TakeOut({35: "test_35"}, (("bentos/skin/**/*.py", "time.monotonic()", "time.time()"),)),
)


def take_out(tree: Path, edit: Edit) -> None:
    """Change a copy.

    Raises:
        SystemExit: the code stands there no more, so the take-out must be written anew.
    """
    pattern, old, new = edit
    changed = 0
    for path in tree.glob(pattern):
        text = path.read_text()
        if old in text:
            path.write_text(text.replace(old, new))
            changed += 1
    if not changed:
        sys.exit(f"{pattern} has no {old!r} any more: write its take-out anew")


def failure(one: TakeOut, row: str) -> str | None:
    """How a row fails on a copy without the code; None where it passes."""
    with tempfile.TemporaryDirectory(prefix="shine-without-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, tree / name)
        for edit in one.edits:
            take_out(tree, edit)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/faults", "-k", row]
        ran = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        sys.exit(f"pytest ended with {ran.returncode}:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    if ran.returncode == 0:
        return None
    return next((line[1:].strip() for line in ran.stdout.splitlines() if line.startswith("E ")), "failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, help="numbers of the matrix (all)")
    wanted = parser.parse_args().rows
    useless = []
    for one in TAKE_OUTS:
        for number, row in one.rows.items():
            if wanted and number not in wanted:
                continue
            began = time.monotonic()
            how = failure(one, row)
            told = "PASSES" if how is None else f"fails: {how[:110]}"
            print(f"{number:>3} {row:22} {time.monotonic() - began:3.0f} s  {told}", flush=True)
            if how is None:
                useless.append(number)
    if useless:
        sys.exit(f"rows that pass without their code: {useless}")


if __name__ == "__main__":
    main()
