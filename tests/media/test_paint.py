"""The pictures of a whole plan, and all that is wrong with them at once."""

from pathlib import Path

import pytest
from PIL import Image, ImageChops

from smd_cli.errors import AssetError, SceneError, SmdError
from smd_cli.media.mask_images import covered_share
from smd_cli.media.paint import paint_scene
from smd_cli.media.scene_images import SceneImages
from smd_cli.scene.loader import load_text
from smd_cli.scene.resolve import resolve

HEAD = "smd: 1\ncanvas: {width: 128, height: 64}\n"


def painted(text: str, folder: Path = Path()) -> SceneImages:
    loaded = load_text(HEAD + text, "s.yaml", "s", folder)
    return paint_scene(resolve(loaded.scene, loaded.name, loaded.base_dir), loaded.locate)


def regions(*masks: str) -> str:
    return "regions:\n" + "".join(
        f"  - {{name: r{i}, prompt: x, mask: {mask}}}\n" for i, mask in enumerate(masks)
    )


def problems(kind: type[SmdError], text: str, folder: Path) -> tuple[str, ...]:
    with pytest.raises(kind) as caught:
        painted(text, folder)
    assert type(caught.value) is kind
    return caught.value.problems


def test_masks_are_in_the_order_of_the_regions_wherever_the_rest_stands() -> None:
    found = painted(regions("rest", "{box: [0, 0, 0.25, 1]}", "{box: [0.5, 0, 1, 1]}"))
    assert [found.coverage(index) for index in range(3)] == [0.25, 0.25, 0.5]
    assert found.masks[0].getbbox() == (32, 0, 64, 64)
    assert found.background is None
    assert not found.notes
    assert not found.warnings


def test_visible_is_what_later_regions_leave() -> None:
    found = painted(regions("{box: [0, 0, 1, 1]}", "{box: [0, 0, 0.25, 1]}"))
    assert covered_share(found.visible(0)) == 0.75
    assert covered_share(found.visible(1)) == 0.25
    assert [covered_share(mask) for mask in found.visible_from_the_last()] == [0.25, 0.75]
    assert found.visible_shares == (0.75, 0.25)


def test_no_regions() -> None:
    assert painted("background: {prompt: x}").masks == ()


def test_the_background_picture_is_brought_to_size_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 32, 64))
    image.save(tmp_path / "b.png")
    found = painted("background: {image: b.png}\n" + regions("rest"), tmp_path)
    assert found.background is not None
    assert (found.background.mode, found.background.size) == ("RGB", (128, 64))
    assert found.background.getpixel((5, 5)) == (0, 0, 255)
    assert found.background.getpixel((120, 5)) == (255, 255, 255)
    assert found.new_area is None
    assert found.notes == (
        f"{tmp_path / 'b.png'}: its transparent parts are laid on white",
        f"{tmp_path / 'b.png'}: resized from 64x64 to 128x128, then cropped to 128x64",
    )


def test_an_opaque_alpha_channel_of_the_background_is_no_note(tmp_path: Path) -> None:
    Image.new("RGBA", (128, 64), (0, 0, 0, 255)).save(tmp_path / "b.png")
    assert not painted("background: {image: b.png}\n" + regions("rest"), tmp_path).notes


def test_a_placed_picture_leaves_new_area(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "b.png")
    found = painted("background: {image: b.png, prompt: x, place: [32, 0]}", tmp_path)
    assert found.background is not None
    assert found.background.getcolors() == [(128 * 64, (255, 0, 0))]
    assert found.new_area is not None
    assert covered_share(found.new_area) == 0.5
    assert ImageChops.invert(found.new_area).getbbox() == (32, 0, 96, 64)


@pytest.mark.parametrize(
    ("background", "problem"),
    [
        (
            "{image: b.png, prompt: x, place: [128, 0]}",
            "background.place: the picture of 64x64 px lies outside the canvas of 128x64 px",
        ),
        (
            "{image: b.png, place: [0, 0]}",
            "background.place: leaves 50.0% of the canvas as new area; give a background prompt, which fills "
            "it",
        ),
        (
            "{image: b.png, fit: contain}",
            "background.fit: leaves 50.0% of the canvas as new area; give a background prompt, which fills "
            "it",
        ),
    ],
)
def test_a_picture_that_lies_wrong(background: str, problem: str, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "b.png")
    (told,) = problems(SceneError, f"background: {background}\n" + regions("rest"), tmp_path)
    assert told.split(": ", 1)[1] == problem


@pytest.mark.parametrize("how", ["fit: contain", "place: [0, 0]"])
def test_a_picture_that_covers_the_canvas_leaves_nothing_to_paint(how: str, tmp_path: Path) -> None:
    Image.new("RGB", (128, 64)).save(tmp_path / "b.png")
    (told,) = problems(SceneError, f"background: {{image: b.png, prompt: x, {how}}}", tmp_path)
    assert "leaves nothing to paint" in told
    again = painted(f"background: {{image: b.png, prompt: x, {how}, strength: 0.5}}", tmp_path)
    assert (again.new_area, again.masks) == (None, ())


def test_where_the_canvas_follows_masks_of_the_picture_s_size_are_not_resized(tmp_path: Path) -> None:
    mask = Image.effect_noise((101, 67), 90)
    mask.save(tmp_path / "m.png")
    mask.convert("RGB").save(tmp_path / "b.png")
    text = "smd: 1\nbackground: {image: b.png}\n" + regions("m.png", "rest", "{box: [0.5, 0, 1, 1]}")
    loaded = load_text(text, "s.yaml", "s", tmp_path)
    found = paint_scene(resolve(loaded.scene, "s", tmp_path, (101, 67)), loaded.locate)
    assert not found.notes
    assert [part.size for part in (*found.masks, found.background) if part] == [(104, 72)] * 4
    assert found.masks[0].crop((0, 0, 101, 67)) == mask
    assert found.masks[0].getpixel((103, 71)) == mask.getpixel((100, 66))
    assert found.masks[2].getbbox() == (50, 0, 104, 72)


def test_shapes_go_on_around_a_canvas_that_wraps() -> None:
    text = "smd: 1\ncanvas: {width: 128, height: 64, wrap: x}\n" + regions("{ellipse: [0, 0.5, 0.25, 0.5]}")
    found = paint_scene(resolve(load_text(text, "s.yaml").scene, "s", Path()))
    assert found.masks[0].getpixel((127, 32)) == found.masks[0].getpixel((0, 32)) == 255


def test_one_painted_picture_holds_several_regions(tmp_path: Path) -> None:
    image = Image.new("RGB", (128, 64), "white")
    image.paste("#f92f6c", (0, 0, 64, 64))
    image.paste("#2f6cf9", (64, 0, 128, 32))
    image.save(tmp_path / "all.png")
    colors = [f'{{image: all.png, color: "{color}"}}' for color in ("#f92f6c", "#2f6cf9")]
    found = painted(regions(*colors), tmp_path)
    assert [found.coverage(index) for index in range(2)] == [0.5, 0.25]


def test_missing_pictures_are_told_with_region_and_place(tmp_path: Path) -> None:
    told = problems(AssetError, "background: {image: b.png}\n" + regions("m.png", "n.png"), tmp_path)
    assert told == (
        f"s.yaml:5:33: regions[0].mask: region 'r0': {tmp_path / 'm.png'}: no such file",
        f"s.yaml:6:33: regions[1].mask: region 'r1': {tmp_path / 'n.png'}: no such file",
        f"s.yaml:3:21: background.image: {tmp_path / 'b.png'}: no such file",
    )


def test_empty_masks_are_errors(tmp_path: Path) -> None:
    Image.new("L", (128, 64)).save(tmp_path / "black.png")
    told = problems(
        SceneError, regions("black.png", "{box: [0, 0, 0.001, 1]}", "{box: [0, 0, 1, 1]}", "rest"), tmp_path
    )
    assert [line.split(": ", 1)[1] for line in told] == [
        f"regions[{index}].mask: region 'r{index}' has an empty mask: no part of the canvas"
        for index in (0, 1, 3)
    ]


def test_a_wrong_scene_outweighs_missing_pictures(tmp_path: Path) -> None:
    Image.new("L", (128, 64)).save(tmp_path / "grey.png")
    told = problems(SceneError, regions("{image: grey.png, channel: alpha}", "gone.png"), tmp_path)
    assert "has no alpha channel" in told[0]
    assert "no such file" in told[1]


def test_a_covered_region_is_a_warning() -> None:
    found = painted(
        regions("{ellipse: [0.5, 0.5, 0.2, 0.2]}", "{box: [0.2, 0.2, 0.9, 0.9]}", "{box: [0, 0, 0.1, 1]}")
    )
    assert found.warnings == ("s.yaml:4:33: regions[0].mask: region 'r0' is fully covered by later regions",)


def test_warnings_are_in_the_order_of_the_regions() -> None:
    whole = "{box: [0, 0, 1, 1]}"
    assert [line[7] for line in painted(regions(whole, whole, whole)).warnings] == ["4", "5"]


def test_a_soft_region_under_its_like_is_covered(tmp_path: Path) -> None:
    Image.radial_gradient("L").resize((128, 64)).save(tmp_path / "soft.png")
    assert len(painted(regions("soft.png", "soft.png"), tmp_path).warnings) == 1


def test_an_opaque_alpha_channel_is_a_warning(tmp_path: Path) -> None:
    Image.new("RGBA", (128, 64), (0, 0, 0, 255)).save(tmp_path / "full.png")
    (warning,) = painted(regions("full.png"), tmp_path).warnings
    assert warning.endswith(
        "has a mask file that covers the whole canvas; channel: luminance reads its brightness"
    )


def test_notes_are_told_once(tmp_path: Path) -> None:
    Image.new("L", (64, 64), 200).save(tmp_path / "m.png")
    assert len(painted(regions("m.png", "{image: m.png, invert: true}"), tmp_path).notes) == 1


def test_a_reduced_photograph_is_fitted_as_what_it_is(tmp_path: Path) -> None:
    """A photograph is reduced to whole pixels of its own, which are no measure for its place and its size."""
    photo = Image.linear_gradient("L").resize((1603, 1203)).convert("RGB")
    photo.save(tmp_path / "b.jpg", quality=95)
    photo.save(tmp_path / "b.png")
    scene = (
        "smd: 1\ncanvas: {width: 64, height: 72}\nbackground: {prompt: x, image: NAME, fit: contain}\n"
        "regions: [{name: a, prompt: y, mask: {box: [0, 0, 1, 0.5]}}]\n"
    )
    jpeg, png = (
        paint_scene(resolve(load_text(scene.replace("NAME", name), "s.yaml").scene, "s", tmp_path))
        for name in ("b.jpg", "b.png")
    )
    assert jpeg.notes == tuple(note.replace("b.png", "b.jpg") for note in png.notes)
    assert "resized from 1603x1203 to 64x48" in jpeg.notes[0]
    assert jpeg.new_area is not None
    assert png.new_area is not None
    assert jpeg.new_area.tobytes() == png.new_area.tobytes()
    assert jpeg.background is not None
    assert png.background is not None
    assert max(high for _, high in ImageChops.difference(jpeg.background, png.background).getextrema()) <= 3
