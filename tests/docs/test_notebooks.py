"""The notebooks of the docs are kept as a fresh run makes them, and tell nothing of the machine."""

import base64
from io import BytesIO

import nbformat
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageSequence

from docs.notebooks.execute import FOLDER, executed, normalised

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """What cells print, but for those whose text is a matter of the machine's speed."""
    steady = [cell for cell in code_cells(notebook) if "varies" not in cell.metadata.get("tags", ())]
    return [output.text for cell in steady for output in cell.outputs if output.output_type == "stream"]


def pictures(notebook: nbformat.NotebookNode) -> list[Image.Image]:
    """Every picture, of films every frame."""
    shown = [output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs]
    files = [data[kind] for data in shown for kind in data if kind.startswith("image/")]
    opened = [Image.open(BytesIO(base64.b64decode(file))) for file in files]
    return [frame.convert("RGB") for image in opened for frame in ImageSequence.Iterator(image)]


def without_pictures(text: str) -> str:
    """A notebook's text without its pictures, whose base64 has any four letters by chance."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in code_cells(notebook):
        for output in cell.outputs:
            shown = output.get("data", {})
            for kind in [kind for kind in shown if kind.startswith("image/")]:
                del shown[kind]
    return nbformat.writes(notebook)


def are_alike(kept: Image.Image, fresh: Image.Image) -> bool:
    """Tell whether two pictures show the same, as rounding on another machine leaves it: blocks of 8x8 px.

    Rounding moves edges by some px in the worst case, which few blocks show; what is another thing, or in
    another place, differs by many levels in many blocks.
    """
    if kept.size != fresh.size:
        return False
    blocks = [np.asarray(one.reduce(8), dtype=float) for one in (kept, fresh)]
    apart = np.abs(blocks[0] - blocks[1]).max(axis=-1)
    return bool(apart.mean() < 6 and (apart > 32).mean() < 0.005)


def test_all_three_are_there():
    assert [path.stem for path in NOTEBOOKS] == ["pictures", "regions", "streams"]


@each_notebook
def test_a_notebook_is_kept_as_it_ran_and_tells_nothing_of_the_machine(path):
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    assert nbformat.writes(normalised(nbformat.reads(text, as_version=4))) + "\n" == text
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for cell in cells for output in cell.outputs} == {"stream", "execute_result"}
    told = without_pictures(text)
    assert not [line for line in ("/home", "/root", "/tmp", "/work", "site-packages") if line in told]
    assert len(pictures(notebook)) >= 5
    assert len(text) < 1_000_000


@pytest.mark.slow
@each_notebook
def test_a_fresh_run_shows_what_is_kept(path):
    kept, fresh = nbformat.read(path, as_version=4), executed(path)
    assert texts(fresh) == texts(kept)
    before, after = pictures(kept), pictures(fresh)
    assert len(before) == len(after)
    pairs = enumerate(zip(before, after, strict=True))
    assert [number for number, (old, new) in pairs if not are_alike(old, new)] == []


@each_notebook
def test_another_picture_is_told_from_rounding(path):
    noise = np.random.default_rng(0)
    for picture in pictures(nbformat.read(path, as_version=4)):
        values = np.asarray(picture).astype(int)
        rounded = Image.fromarray((values + noise.integers(-6, 7, values.shape)).clip(0, 255).astype("uint8"))
        moved = Image.fromarray(np.roll(values, 1, axis=1).astype("uint8"))
        assert are_alike(picture, rounded)
        assert are_alike(picture, moved)
        painted = picture.copy()
        ImageDraw.Draw(painted).rectangle((30, 60, 90, 120), fill="magenta")
        assert not are_alike(picture, painted)
        assert not are_alike(picture, picture.point(lambda value: value * 4 // 5))
