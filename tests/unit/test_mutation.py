"""The mutations of the fault matrix fit the code: each text that one replaces occurs."""

import ast
from pathlib import Path

import pytest

from tests.faults.mutation import MUTATIONS, Edit, apply
from tests.server import ROOT

EDITS = [edit for mutation in MUTATIONS for edit in mutation.edits]


@pytest.mark.parametrize("edit", EDITS, ids=[f"{pattern}: {text[:40]}" for pattern, text, _ in EDITS])
def test_a_mutation_changes_code_that_still_parses(edit: Edit, tmp_path: Path) -> None:
    originals = {path.relative_to(ROOT): path.read_text() for path in ROOT.glob(edit[0])}
    for name, text in originals.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    apply(tmp_path, edit)
    changed = [name for name, text in originals.items() if (tmp_path / name).read_text() != text]
    assert changed
    for name in changed:
        ast.parse((tmp_path / name).read_text())


def test_a_text_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("pass")
    with pytest.raises(SystemExit, match="rewrite its mutation"):
        apply(tmp_path, ("module.py", "gone", "new"))
