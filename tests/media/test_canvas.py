"""Pictures on the canvas: fitted or placed, their edges repeated, held against NumPy and Pillow's own."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from smd_cli.errors import SceneError
from smd_cli.media.canvas import FittedPicture, fit_picture, repeat_edges, resize_note
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

HEAD = "smd: 1\nregions: [{name: a, prompt: x, mask: rest}]\n"
NOISE = Image.effect_noise((100, 75), 90).convert("RGB")


def laid(
    picture: Image.Image, background: str = "", canvas: str = "canvas: {width: 128, height: 64}"
) -> FittedPicture:
    loaded = load_text(f"{HEAD}{canvas}\nbackground: {{image: b.png, {background}}}", "s.yaml")
    return fit_picture(picture, Path("b.png"), resolve(loaded.scene, "s", Path(), picture.size))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    before=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    after=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    mode=st.sampled_from(["L", "RGB"]),
)
def test_edges_are_repeated(
    size: tuple[int, int], before: tuple[int, int], after: tuple[int, int], mode: str
) -> None:
    image = Image.effect_noise(size, 90).convert(mode)
    whole = (before[0] + size[0] + after[0], before[1] + size[1] + after[1])
    around = [(before[1], after[1]), (before[0], after[0])] + [(0, 0)] * (mode == "RGB")
    expected = np.pad(np.asarray(image), around, mode="edge")
    assert np.array_equal(np.asarray(repeat_edges(image, before, whole)), expected)


@pytest.mark.parametrize("size", [(100, 75), (512, 100), (31, 90), (1, 1), (1, 3000), (3000, 1)])
def test_cover_is_scaled_and_centre_cropped(size: tuple[int, int]) -> None:
    picture = Image.radial_gradient("L").resize(size).convert("RGB")
    found = laid(picture)
    expected = ImageOps.fit(picture, (128, 64), Image.Resampling.LANCZOS)
    assert found.new_area is None
    assert found.image.size == (128, 64)
    # Both scale the centre, but ours by whole pixels of the canvas: neighbours may differ by half of one.
    assert np.abs(pixels(found.image) - pixels(expected)).mean() < 2


@pytest.mark.parametrize("size", [(100, 75), (512, 100), (31, 90), (1, 1), (1, 3000), (3000, 1)])
def test_contain_lies_inside_and_the_rest_is_new_area(size: tuple[int, int]) -> None:
    picture = Image.effect_noise(size, 60).convert("RGB")
    found = laid(picture, "prompt: x, fit: contain")
    expected = picture.resize(
        (min(128, max(1, round(size[0] * 64 / size[1]))), min(64, max(1, round(size[1] * 128 / size[0])))),
        Image.Resampling.LANCZOS,
    )
    left, top = (128 - expected.width) // 2, (64 - expected.height) // 2
    seen = (left, top, left + expected.width, top + expected.height)
    assert found.image.crop(seen) == expected
    assert found.new_area is not None
    assert (found.new_area.mode, found.new_area.size) == ("L", (128, 64))
    area = pixels(found.new_area)
    assert not area[seen[1] : seen[3], seen[0] : seen[2]].any()
    assert (area == 255).sum() == 128 * 64 - expected.width * expected.height


def test_stretch_changes_proportions_and_says_so() -> None:
    found = laid(NOISE, "fit: stretch")
    assert found.image == NOISE.resize((128, 64), Image.Resampling.LANCZOS)
    assert (found.new_area, found.notes) == (
        None,
        ("b.png: resized from 100x75 to 128x64, stretched to other proportions",),
    )


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_a_picture_of_the_canvas_s_size_stays_as_it_is(fit: str) -> None:
    picture = Image.effect_noise((128, 64), 90).convert("RGB")
    assert laid(picture, f"prompt: x, fit: {fit}") == FittedPicture(picture, None, ())


@pytest.mark.parametrize("place", [(0, 0), (28, -11), (-30, -20), (120, 60), (-99, -74), (127, 63), (-30, 1)])
def test_a_placed_picture_keeps_its_pixels(place: tuple[int, int]) -> None:
    found = laid(NOISE, f"prompt: x, place: [{place[0]}, {place[1]}]")
    assert found.new_area is not None
    inside = np.zeros((64, 128), dtype=bool)
    inside[max(0, place[1]) : 75 + place[1], max(0, place[0]) : 100 + place[0]] = True
    assert np.array_equal(pixels(found.new_area), np.where(inside, 0, 255))
    y, x = np.mgrid[:64, :128]
    nearest = pixels(NOISE)[np.clip(y - place[1], 0, 74), np.clip(x - place[0], 0, 99)]
    assert np.array_equal(pixels(found.image), nearest)


def test_a_placed_picture_that_covers_leaves_no_new_area() -> None:
    picture = Image.effect_noise((300, 200), 90).convert("RGB")
    found = laid(picture, "prompt: x, place: [-50, -60]")
    assert (found.new_area, found.image) == (None, picture.crop((50, 60, 178, 124)))
    assert found.notes == ("b.png: cropped from 300x200 to 128x64",)


@pytest.mark.parametrize("place", [(128, 0), (0, 64), (-100, 0), (0, -75)])
def test_a_place_outside_the_canvas(place: tuple[int, int]) -> None:
    with pytest.raises(SceneError, match="of 100x75 px lies outside the canvas of 128x64 px"):
        laid(NOISE, f"prompt: x, place: [{place[0]}, {place[1]}]")


def test_a_canvas_that_follows_goes_on_with_the_last_pixels() -> None:
    found = laid(NOISE, canvas="")
    expected = np.pad(np.asarray(NOISE), [(0, 5), (0, 4), (0, 0)], mode="edge")
    assert np.array_equal(np.asarray(found.image), expected)
    assert (found.new_area, found.notes) == (None, ())


def test_what_was_done_is_noted() -> None:
    assert laid(NOISE).notes == ("b.png: resized from 100x75 to 128x96, then cropped to 128x64",)
    assert laid(NOISE, "prompt: x, fit: contain").notes == ("b.png: resized from 100x75 to 85x64",)


def test_whole_pixels_are_no_other_proportions() -> None:
    assert resize_note(Path("x"), (1000, 667), (384, 256)) == "x: resized from 1000x667 to 384x256"
    assert resize_note(Path("x"), (1000, 667), (384, 264)).endswith(", stretched to other proportions")


def test_a_note_says_where_a_picture_lies_in_short():
    assert resize_note(Path("scenes/../m.png"), (8, 8), (4, 4)) == "m.png: resized from 8x8 to 4x4"
