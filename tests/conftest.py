"""What several tests build upon."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest


@pytest.fixture
def write_notebook() -> Callable[..., Path]:
    """A function that writes a notebook: a title, a parameters cell, then the given code cells."""

    def write(
        path: Path, *cells: str, parameters: str = 'seed = 0  # a seed\nrun_dir = ""  # a folder', title: str = ""
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = nbformat.v4
        first = new.new_markdown_cell(f"# {title or path.stem}\n\n> About {path.stem}")
        tagged = new.new_code_cell(parameters, metadata={"tags": ["parameters"]})
        notebook = new.new_notebook(cells=[first, tagged, *map(new.new_code_cell, cells)])
        notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
        nbformat.write(notebook, path)
        return path

    return write
