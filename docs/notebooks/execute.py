"""Run the notebooks beside this file and write them again, with what they print and show.

`python docs/notebooks/execute.py [NOTEBOOK…]` runs all of them, or those named. What a notebook keeps says
nothing of the machine: no times, no paths, no version of Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from traitlets.config import Config

FOLDER = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
CELL_SECONDS = 600
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # rounding depends on it
    "PYTHONWARNINGS": "ignore:IProgress not found",  # tqdm, which other packages import, asks for ipywidgets
}


def executed(path: Path) -> NotebookNode:
    """Run a notebook on this interpreter, offline and in one thread, and return it as it is to be kept.

    Raises nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as scratch:
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            config=Config(
                KernelManager={
                    "transport": "ipc",
                    "ip": f"{scratch}/kernel",
                    "connection_file": f"{scratch}/kernel.json",
                },
                KernelSpecManager={"kernel_dirs": []},  # none of a user's: this interpreter
            ),
            timeout=CELL_SECONDS,
            coalesce_streams=True,  # one output for what a cell prints, however often that was flushed
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute(env={**os.environ, **ENVIRONMENT, "IPYTHONDIR": scratch, "TMPDIR": scratch})
    return normalised(notebook)


def normalised(notebook: NotebookNode) -> NotebookNode:
    """Leave out what a run adds and no reader needs; cells keep their tags."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook, one value a line, so that changes read well."""
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for path in [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")):
        write(executed(path), path)
        print(path)
