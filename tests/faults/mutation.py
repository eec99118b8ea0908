"""Mutation test of the fault matrix: each row must fail without the code that handles its fault.

    python -m tests.faults.mutation             # all, about 25 minutes
    python -m tests.faults.mutation 8 17        # those rows

Each mutation is applied to a copy of the project. A row that passes without its code proves nothing: exit code 1.
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
CACHE, LIFECYCLE = "bentos/skin/model/cache.py", "bentos/skin/model/lifecycle.py"
OUTPUT_CHECKS = "bentos/skin/model/output_checks.py"
GATEWAY, PUBLISH = "bentos/skin/runtime/gateway.py", "bentos/skin/model/publish.py"
UPLOADS = "    for file in (MODEL, METRICS, MANIFEST):"
COPIED = ("bentos", "tests", "training", "service.py", "pyproject.toml")

Edit = tuple[str, str, str]  # file or glob, text, its replacement


@dataclass(frozen=True, slots=True)
class Mutation:
    """Rows that must fail without some code.

    Attributes:
        rows: number of the row → what `pytest -k` selects it by.
        edits: that remove the code; several where one guard backs up another.
    """

    rows: dict[int, str]
    edits: tuple[Edit, ...]


SURVIVES = (LIFECYCLE, "except Exception as error:  # whatever", "except MemoryError as error:  # whatever")
CHECKSUMS: tuple[Edit, ...] = (
    (S3, "if sha256 != entry.sha256:", "if False:"),
    (BUNDLE, "if sha256 != entry.sha256:", "if False:"),
)
FALLBACK = tuple(
    (GATEWAY, f"except {lost}:\n            return None", f"except {never}:\n            return None")
    for lost, never in (
        ("RunnerFailed as failure", "MemoryError as failure"),
        ("ModelNotReady as refusal", "MemoryError as refusal"),
    )
)

MUTATIONS = (
    Mutation({1: "no-weights", 2: "manifest-missing"}, ((S3, "if manifest is None:", "if False:"),)),
    Mutation(
        {3: "not-JSON"},
        ((BUNDLE, "except (ValueError, TypeError, KeyError, RecursionError):", "except KeyError:"), SURVIVES),
    ),
    Mutation({4: "unknown-key"}, ((BUNDLE, 'extra="forbid"', 'extra="ignore"'),)),
    Mutation({5: "format-version-newer"}, ((BUNDLE, "if version != FORMAT_VERSION:", "if False:"),)),
    Mutation(
        {6: "file-missing"},
        ((S3, "if code in MISSING:\n                    raise", "if False:\n                    raise"),),
    ),
    Mutation({7: "size-wrong"}, ((S3, 'if have + answer["ContentLength"] != entry.size or', "if"),)),
    Mutation({8: "checksum-wrong"}, CHECKSUMS),
    Mutation({9: "pin-wrong"}, ((S3, "if self._pin is not None and sha256 != self._pin:", "if False:"),)),
    Mutation(
        {10: "ONNX-corrupt"}, ((ENGINE, "except Exception as error:  # ONNX", "except MemoryError as error:  #"),)
    ),
    Mutation({11: "other-inputs"}, ((ENGINE, "if lacking or [", "if False and ["),)),
    Mutation({12: "self-test-output-off", 33: "test_33"}, ((ENGINE, "if off > test.tolerance:", "if False:"),)),
    Mutation({13: "NaN-output"}, ((OUTPUT_CHECKS, "if not np.isfinite(values).all():", "if False:"),)),
    Mutation(
        {14: "S3-refuses", 15: "S3-hangs"},
        (
            (
                S3,
                "(BotoCoreError, HTTPClientError, HTTPError, ConnectionError, TimeoutError, RecursionError)",
                "(RecursionError,)",
            ),
        ),
    ),
    Mutation({16: "test_16"}, ((S3, "if time.monotonic() - since > STALL_S:", "if False:"),)),
    Mutation(
        {17: "test_17"}, ((S3, "have = path.stat().st_size if path.exists() and tag.exists() else 0", "have = 0"),)
    ),
    Mutation(
        {18: "18-403", 20: "SlowDown"},
        ((S3, 'return BundleError("weights_unreachable", f"S3 ', 'return BundleError("weights_corrupt", f"S3 '),),
    ),
    Mutation({19: "404-bucket"}, ((S3, 'if code == "NoSuchBucket":', "if False:"),)),
    Mutation({21: "test_21"}, ((S3, '"IfMatch": tag.read_text()', ""),)),
    Mutation(
        {22: "disk-full", 23: "cache-read-only"},
        (
            (CACHE, "except OSError as error:", "except MemoryError as error:"),
            (S3, "except OSError as error:", "except MemoryError as error:"),
        ),
    ),
    Mutation({24: "test_24"}, (CHECKSUMS[1],)),
    Mutation({25: "test_25"}, ((CACHE, "fcntl.flock(file, fcntl.LOCK_EX)", "pass"),)),
    Mutation({26: "test_26", 27: "test_27", 28: "test_28", 30: "30-workers", 31: "test_31"}, FALLBACK),
    Mutation(
        {29: "29-workers"},
        (
            (
                GATEWAY,
                "            return answer\n        except RunnerFailed",
                "            return answer\n        except MemoryError",
            ),
            ("bentos/skin/runtime/runner_client.py", "ATTEMPTS = 2", "ATTEMPTS = 1"),
        ),
    ),
    Mutation(
        {32: "test_32"},
        ((LIFECYCLE, "if serving is not None and newest == serving.info.sha256:", "if serving is not None:"),),
    ),
    Mutation(
        {34: "test_34"},
        (
            (
                PUBLISH,
                UPLOADS,
                "    _write_current(location, name, version, weights.sha256, current, tag)\n" + UPLOADS,
            ),
        ),
    ),
    Mutation({35: "test_35"}, (("bentos/skin/**/*.py", "time.monotonic()", "time.time()"),)),
)


def apply(tree: Path, edit: Edit) -> None:
    """Edit a copy of the project.

    Raises:
        SystemExit: the text does not occur, so the mutation must be rewritten.
    """
    pattern, old, new = edit
    changed = 0
    for path in tree.glob(pattern):
        text = path.read_text()
        if old in text:
            path.write_text(text.replace(old, new))
            changed += 1
    if not changed:
        sys.exit(f"{pattern} has no {old!r} any more: rewrite its mutation")


def failure(mutation: Mutation, row: str) -> str | None:
    """How a row fails on a copy without the code; None where it passes."""
    with tempfile.TemporaryDirectory(prefix="shine-without-") as folder:
        tree = Path(folder)
        for name in COPIED:
            source = ROOT / name
            copy = shutil.copytree if source.is_dir() else shutil.copyfile
            copy(source, tree / name)
        for edit in mutation.edits:
            apply(tree, edit)
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
    chosen = parser.parse_args().rows
    useless = []
    for mutation in MUTATIONS:
        for number, row in mutation.rows.items():
            if chosen and number not in chosen:
                continue
            began = time.monotonic()
            cause = failure(mutation, row)
            outcome = "PASSES" if cause is None else f"fails: {cause[:110]}"
            print(f"{number:>3} {row:22} {time.monotonic() - began:3.0f} s  {outcome}", flush=True)
            if cause is None:
                useless.append(number)
    if useless:
        sys.exit(f"rows that pass without their code: {useless}")


if __name__ == "__main__":
    main()
