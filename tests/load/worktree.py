"""An older commit of this repository, checked out beside it for as long as it is measured."""

import compileall
import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.load.processes import Broken
from tests.server import ROOT


@dataclass(frozen=True, slots=True)
class OlderCommit:
    """A commit and where it is checked out."""

    commit: str
    folder: Path


def git(*arguments: str) -> str:
    """What git says.

    Raises:
        Broken: it refuses, or this is no git repository.
    """
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Broken(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def compile_modules(tree: Path) -> None:
    """Compile what serves, so that the first start of a fresh checkout takes no longer than the others."""
    compileall.compile_dir(tree / "bentos", quiet=1)
    compileall.compile_file(tree / "service.py", quiet=1)


@contextlib.contextmanager
def checked_out(commit: str) -> Iterator[OlderCommit]:
    """A commit in a worktree of its own, which is removed when the block ends, however it ends.

    Raises:
        Broken: there is no such commit.
    """
    name = git("rev-parse", "--verify", "--end-of-options", f"{commit}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="shine-base-") as place:
        folder = Path(place) / "tree"
        try:
            git("worktree", "add", "--detach", str(folder), name)
            compile_modules(folder)
            yield OlderCommit(name, folder)
        finally:
            subprocess.run(
                ["git", "worktree", "remove", "--force", str(folder)], cwd=ROOT, capture_output=True, check=False
            )
            git("worktree", "prune")
