"""The plot of regions against halos."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from smd_cli.workshop.quality import frontier
from smd_cli.workshop.quality.frontier import PLOT, plot_frontier, write_frontier
from smd_cli.workshop.quality.report import Interval, QualityRow


def row(name: str, halos: float, regions: float) -> QualityRow:
    figures = {
        "halos": Interval(halos, halos - 0.02, halos + 0.03),
        "regions": Interval(regions, regions - 0.04, regions + 0.04),
    }
    return QualityRow(name, figures, figures, Interval(0.5, 0.5, 0.5), 1, 30, 1)


def colors_at(page: Image.Image, x: float, y: float) -> set[str]:
    """Return the colours at a place and the pixels beside it."""
    around = ((round(x) + i, round(y) + j) for i in (-1, 0, 1) for j in (-1, 0, 1))
    return {"#{:02x}{:02x}{:02x}".format(*page.getpixel(place)) for place in around}


def test_each_method_is_a_point_with_its_intervals_where_its_figures_say():
    page = plot_frontier([row("white", 0.5, 0.86), row("through", 0.1, 0.66)])
    left, top, right, bottom = frontier.MARGIN
    width, height = page.width - left - right, page.height - top - bottom
    # axes in whole tenths around the intervals: halos 0 to 0.6, regions 0.6 to 1
    for number, (halos, regions) in enumerate(((0.5, 0.86), (0.1, 0.66))):
        x, y = left + width * halos / 0.6, page.height - bottom - height * (regions - 0.6) / 0.4
        assert colors_at(page, x, y) == {frontier.COLORS[number]}
        assert frontier.COLORS[number] in colors_at(page, x + width * 0.028 / 0.6, y)
        assert frontier.COLORS[number] not in colors_at(page, x + width * 0.035 / 0.6, y)
        assert frontier.COLORS[number] in colors_at(page, x, y + height * 0.038 / 0.4)


def test_names_cover_neither_points_nor_one_another(monkeypatch):
    rows = [row(f"a method of number {i}", 0.1 + 0.005 * i, 0.8 + 0.003 * (i % 3)) for i in range(12)]
    boxes = []
    place = frontier._free_place
    monkeypatch.setattr(frontier, "_free_place", lambda *given: boxes.append(place(*given)) or boxes[-1])
    page = plot_frontier(rows)
    assert len(boxes) == 12
    for number, box in enumerate(boxes):
        assert 0 <= box[0] < box[2] <= page.width
        assert 0 <= box[1] < box[3] <= page.height
        assert not any(frontier._meet(box, other) for other in boxes[number + 1 :])
    left, top, right, bottom = frontier.MARGIN
    width, height = page.width - left - right, page.height - top - bottom
    points = [(r.figures["halos"].value, r.figures["regions"].value) for r in rows]
    # axes in whole tenths around the intervals: halos 0 to 0.2, regions 0.7 to 0.9
    places = [(left + width * x / 0.2, top + height * (0.9 - y) / 0.2) for x, y in points]
    for number, box in enumerate(boxes):
        assert not any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in places)
        inside = page.crop(tuple(map(round, box))).get_flattened_data()
        assert tuple(bytes.fromhex(frontier.COLORS[number % len(frontier.COLORS)][1:])) in set(inside), (
            "its name"
        )
    text = ImageDraw.Draw(page).textbbox((0, 0), rows[0].name, font=ImageFont.load_default(15))
    assert boxes[0][2] - boxes[0][0] >= text[2]


def test_a_line_for_each_tenth():
    page = plot_frontier([row("only", 0.25, 0.75)])
    left, top, right, bottom = frontier.MARGIN
    width, height = page.width - left - right, page.height - top - bottom
    for tenth in (0.1, 0.2, 0.3):  # of halos 0 to 0.3
        assert "#dddddd" in colors_at(page, left + width * tenth / 0.3, top + 3)
    assert colors_at(page, left + width * 0.15 / 0.3, top + 3) == {"#ffffff"}
    assert "#dddddd" in colors_at(page, left + 30, top + height * (0.8 - 0.75 + 0.05) / 0.1)


def test_the_plot_is_a_picture_in_the_folder(tmp_path):
    path = write_frontier(tmp_path, [row("only", 0.0, 1.0)])
    assert path == tmp_path / PLOT
    with Image.open(path) as page:
        assert len(np.unique(np.asarray(page.convert("L")))) > 3
