"""Small file systems for tests: they can be full or read-only for root too, who ignores permissions."""

import subprocess
from pathlib import Path


def remount(folder: Path, options: str) -> None:
    """Mount a tmpfs on a folder, or change the one that is there (`remount,…`)."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "shine-test", str(folder)], check=True, capture_output=True)


def unmount(folder: Path) -> None:
    """Undo `remount`; nothing where nothing is mounted."""
    subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
