"""Every notebook runs from its first cell to its last."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


def executed(notebook: nbformat.NotebookNode, folder: Path, *, tries: int = 2) -> nbformat.NotebookNode:
    """The notebook with its outputs. A kernel that never answers is started once more: the ports that it is told of
    were free when they were chosen, and may be another's by the time it opens them."""
    resources = {"metadata": {"path": str(folder)}}
    try:
        return NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
    except RuntimeError as error:
        if "Kernel didn't respond" not in str(error) or tries == 1:
            raise
        return executed(notebook, folder, tries=tries - 1)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_keeps_no_output_in_git(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    monkeypatch.setenv("NOTEBOOK_MINUTES", "0.75")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ran = executed(notebook, tmp_path)
    outputs = [output for cell in ran.cells for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if "data" in output]
    assert any(each in data.get("text/html", "") for data in shown for each in ("winner:", "linked tables:"))
    assert all("image/png" in data for data in shown if data["text/plain"].startswith("<Figure"))
    assert not [text for output in outputs if "ipywidgets" in (text := output.get("text", ""))]
