"""docs/analyzer.ipynb runs from its first cell to its last, and is kept without outputs."""

import json
from typing import Any

import pytest

from tests.server import ROOT

NOTEBOOK = ROOT / "docs" / "analyzer.ipynb"


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 6
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Jupyter
def test_the_notebook_runs_and_every_plot_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=100, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    plots = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(plots) == 5
