"""Painted maps: every pixel belongs to the colour that was painted there, whatever files did to its edges."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from smd_cli.errors import SceneError
from smd_cli.media.map_labels import NOBODY, label_pixels
from smd_cli.media.paint import paint_scene
from smd_cli.media.scene_images import SceneImages
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

SIDE = 160
FINE = 4  # a side of what is drawn, for one of the map
COLORS = (
    *("#2040c0", "#f92f6c", "#30d040", "#ffe000", "#000000", "#ffffff"),
    *("#808080", "#00c8d8", "#803010", "#a020f0", "#ff8000", "#104830"),
)


@cache
def drawing(count: int) -> Image.Image:
    """A map of so many colours as their indices, finely drawn: each point has its nearest seed's."""
    random = np.random.default_rng(count)
    seeds = random.random((3 * count, 2)) * SIDE * FINE
    rows, columns = np.indices((SIDE * FINE, SIDE * FINE))
    away = [(columns - x) ** 2 + (rows - y) ** 2 for x, y in seeds]
    return Image.fromarray((np.argmin(away, 0) % count).astype(np.uint8))


def painted(indices: Image.Image) -> Image.Image:
    image = indices.copy()
    image.putpalette(bytes.fromhex("".join(color[1:] for color in COLORS)))
    return image.convert("RGB")


def truth_of(drawn: Image.Image) -> Image.Image:
    return drawn.resize((SIDE, SIDE), Image.Resampling.NEAREST)


def away_from_edges(truth: Image.Image, px: int) -> np.ndarray:
    """Where no other colour is within so many px."""
    size = 2 * px + 1
    lowest, highest = truth.filter(ImageFilter.MinFilter(size)), truth.filter(ImageFilter.MaxFilter(size))
    return np.asarray(lowest) == np.asarray(highest)


def lossy(image: Image.Image, kind: str, quality: int) -> Image.Image:
    data = io.BytesIO()
    image.save(data, kind, quality=quality)
    return Image.open(data).convert("RGB")


def saved_as(kind: str, drawn: Image.Image) -> Image.Image:
    hard = painted(truth_of(drawn))
    soft = painted(drawn).resize((SIDE, SIDE), Image.Resampling.BOX)
    match kind.split():
        case ["hard"]:
            return hard
        case ["soft"]:
            return soft
        case ["lanczos"]:
            return painted(drawn).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        case ["soft", form, quality]:
            return lossy(soft, form, int(quality))
        case [form, quality]:
            return lossy(hard, form, int(quality))
    raise ValueError(kind)


def labels(image: Image.Image, colors: Sequence[str]) -> np.ndarray:
    return np.asarray(label_pixels(image, colors))


KINDS = ("soft", "lanczos", "jpeg 75", "jpeg 85", "jpeg 95", "soft jpeg 75", "soft jpeg 95", "webp 80")


@pytest.mark.parametrize("count", [2, 3, 7, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_soft_and_lossy_maps_lose_nothing(kind: str, count: int) -> None:
    drawn = drawing(count)
    truth = np.asarray(truth_of(drawn))
    found = labels(saved_as(kind, drawn), COLORS[:count])
    assert not (found == NOBODY).any()
    assert not ((found != truth) & away_from_edges(truth_of(drawn), 2)).any()
    assert (found != truth).mean() < 0.02


@pytest.mark.parametrize("count", [3, 7, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_colours_that_no_region_names_are_not_swallowed(kind: str, count: int) -> None:
    drawn, named = drawing(count), count // 2
    truth = np.asarray(truth_of(drawn).point([*range(named), *[NOBODY] * (256 - named)]))
    found = labels(saved_as(kind, drawn), COLORS[:named])
    assert not ((found != truth) & away_from_edges(truth_of(drawn), 2)).any()
    assert (found != truth).mean() < 0.02


def test_hard_edges_stay_to_the_pixel() -> None:
    image = painted(truth_of(drawing(12)))
    ImageDraw.Draw(image).line(
        (0, 150, 159, 20), fill=COLORS[6]
    )  # thin and grey, between black and white too
    truth = np.asarray(image.convert("RGB"))
    found = labels(image, COLORS)
    levels = np.array([list(bytes.fromhex(color[1:])) for color in COLORS])
    assert (levels[found] == truth).all()


@pytest.mark.parametrize("blur", [0, 0.7])
def test_a_mixture_that_is_nearest_to_a_third_colour_makes_no_thin_line_of_it(blur: float) -> None:
    fine = Image.new("L", (SIDE * FINE, SIDE * FINE))
    draw = ImageDraw.Draw(fine)
    draw.ellipse((60, 60, 400, 440), fill=1)
    draw.rectangle((450, 450, 600, 600), fill=2)
    drawn = fine.convert("RGB")
    drawn.paste("white", mask=fine.point([0, 255, *[0] * 254]))
    drawn.paste("#808080", mask=fine.point([0, 0, 255, *[0] * 253]))
    soft = drawn.resize((SIDE, SIDE), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(blur))
    grey = labels(soft, ["#000000", "#ffffff", "#808080"]) == 2
    assert grey[115:148, 115:148].all()
    grey[110:153, 110:153] = False
    assert not grey.any()


def test_a_thin_line_is_kept_where_it_is_no_mixture() -> None:
    drawn = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "#2040c0")
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, 640, 320), fill="white")
    draw.line((0, 322, 640, 322), fill="#f92f6c", width=3 * FINE)
    soft = drawn.resize((SIDE, SIDE), Image.Resampling.BOX)
    assert (labels(soft, ["#2040c0", "#ffffff", "#f92f6c"])[80] == 2).all()


def test_a_map_that_was_enlarged_has_no_colours_but_its_own() -> None:
    """Its edges are wide and slow: nearly flat, if only a pixel's own neighbours are looked at."""
    large = saved_as("hard", drawing(7)).resize((15 * SIDE, 15 * SIDE), Image.Resampling.BICUBIC)
    assert not (labels(large, COLORS[:7]) == NOBODY).any()


def test_what_is_transparent_belongs_to_nobody() -> None:
    image = painted(truth_of(drawing(3))).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((SIDE, SIDE)))
    found = labels(image, COLORS[:3])
    assert ((found == NOBODY) == (np.asarray(image.getchannel("A")) < 128)).all()


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (160, 1)])
def test_maps_that_are_too_small_for_areas(size: tuple[int, int]) -> None:
    assert (labels(Image.new("RGB", size, "#2141c1"), ["#f92f6c", "#2040c0"]) == 1).all()


def test_a_colour_that_is_a_little_off_is_the_one_that_is_named() -> None:
    assert (labels(Image.new("RGB", (9, 9), (0x30, 0x50, 0xD0)), ["#2040c0", "#f92f6c"]) == 0).all()
    assert (labels(Image.new("RGB", (9, 9), (0x31, 0x50, 0xD0)), ["#2040c0", "#f92f6c"]) == NOBODY).all()


def scene(folder: Path, *masks: str, side: int = SIDE) -> SceneImages:
    regions = "".join(f"  - {{name: r{i}, prompt: x, mask: {mask}}}\n" for i, mask in enumerate(masks))
    text = f"smd: 1\ncanvas: {{width: {side}, height: {side}}}\nregions:\n{regions}"
    loaded = load_text(text, "s.yaml", "s", folder)
    return paint_scene(resolve(loaded.scene, loaded.name, loaded.base_dir), loaded.locate)


def colored(color: str, image: str = "map.png", **others: object) -> str:
    rest = "".join(f", {key}: {value}" for key, value in others.items())
    return f'{{image: {image}, color: "{color}"{rest}}}'


@pytest.mark.parametrize("side", [SIDE, 112, 400])
def test_the_masks_of_a_map_cover_the_canvas_once(side: int, tmp_path: Path) -> None:
    saved_as("soft", drawing(7)).save(tmp_path / "map.png")
    found = scene(tmp_path, *(colored(color) for color in COLORS[:7]), side=side)
    covered = sum(np.asarray(mask).astype(int) for mask in found.masks)
    assert (covered == 255).all()
    assert found.unclaimed(tmp_path / "map.png") == 0


def test_a_share_of_the_map_that_belongs_to_no_region_is_told(tmp_path: Path) -> None:
    image = Image.new("RGB", (SIDE, SIDE), COLORS[0])
    image.paste(COLORS[1], (0, 0, 40, SIDE))
    image.paste(COLORS[2], (120, 0, SIDE, SIDE))
    image.save(tmp_path / "map.png")
    image.save(tmp_path / "other.png", dpi=(72, 72))  # of the same bytes, it would be the same map
    found = scene(
        tmp_path, colored("#2040C0"), colored(COLORS[1], "other.png"), colored(COLORS[2], "other.png")
    )
    shares = {path.name: found.unclaimed(path) for path in found.maps}
    assert shares == {"map.png": 0.5, "other.png": 0.5}


def test_an_explicit_tolerance_takes_what_is_within_it(tmp_path: Path) -> None:
    image = Image.new("RGB", (SIDE, SIDE), (0x20, 0x40, 0xC0 + 12))
    image.paste((0x20 + 40, 0x40, 0xC0), (0, 0, 40, SIDE))
    image.save(tmp_path / "map.png")
    shares = [
        scene(tmp_path, colored("#2040c0", tolerance=tolerance)).coverage(0) for tolerance in (12, 39, 40)
    ]
    assert shares == [0.75, 0.75, 1]


def test_too_many_colours_of_a_map(tmp_path: Path) -> None:
    Image.new("RGB", (SIDE, SIDE)).save(tmp_path / "map.png")
    with pytest.raises(SceneError) as caught:
        scene(tmp_path, *(colored(f"#{index:06x}") for index in range(255)))
    (problem,) = (problem for problem in caught.value.problems if "empty" not in str(problem))
    assert "region 'r254': at most 254 colours of one map can be named" in str(problem)


@pytest.mark.parametrize("tolerance", ["", ", tolerance: 3"])
def test_a_colour_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, tolerance: str) -> None:
    shares = {color: 16 * (index + 1) for index, color in enumerate(COLORS[:9])}
    image = Image.new("RGBA", (64, sum(shares.values())))  # and some that is transparent
    top = 0
    for color, height in shares.items():
        image.paste(color, (4, top, 64, top + height))
        top += height
    image.save(tmp_path / "map.png")
    (text,) = problems_of(tmp_path, f'{{image: map.png, color: "#123456"{tolerance}}}')
    most = ", ".join(sorted(shares, key=shares.__getitem__, reverse=True)[:8])
    assert text.endswith(
        f"region 'a': {tmp_path / 'map.png'}: has no #123456; its colours are {most} and 1 more"
    )


def test_a_colour_that_is_moved_away_is_there(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "#2040c0").save(tmp_path / "map.png")
    (text,) = problems_of(tmp_path, '{image: map.png, color: "#2040c1"}', "shift: [1, 0]")
    assert text.endswith("has an empty mask: no part of the canvas")


def test_a_picture_without_flat_areas_has_no_colours_to_tell(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(128, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "map.png")
    (text,) = problems_of(tmp_path, '{image: map.png, color: "#123456", tolerance: 0}')
    assert text.endswith("map.png: has no #123456")


def problems_of(folder: Path, mask: str, more: str = "mask_std: 0") -> tuple[str, ...]:
    text = (
        "smd: 1\ncanvas: {width: 64, height: 64}\nbackground: {prompt: x}\n"
        f"regions: [{{name: a, prompt: x, mask: {mask}, {more}}}]\n"
    )
    with pytest.raises(SceneError) as caught:
        paint_scene(resolve(load_text(text, "s.yaml").scene, "s", folder))
    return tuple(str(problem) for problem in caught.value.problems)
