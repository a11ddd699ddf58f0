"""Recipes: what a picture says of itself is read as data, however damaged it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from smd_cli.errors import AssetError, UsageError
from smd_cli.media.files import check_target
from smd_cli.media.png import encode_png
from smd_cli.media.recipe import CHUNK, read_recipe
from tests.media.recipes import small_recipe

PART = {"prompt": "an owl", "negative_prompt": "blur"}
RECIPE = small_recipe(PART, {**PART, "prompt": "a cat"})


def picture(path: Path, text: str, *, packed: bool = False) -> Path:
    chunks = PngInfo()
    chunks.add_itxt(CHUNK, text, zip=packed)
    Image.new("RGB", (8, 8)).save(path / "x.png", pnginfo=chunks)
    return path / "x.png"


def test_a_recipe_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(encode_png(Image.new("RGB", (8, 8)), RECIPE.texts()))
    assert read_recipe(tmp_path / "x.png") == RECIPE


def test_the_short_form_is_what_other_programs_show() -> None:
    assert RECIPE.parameters().splitlines() == [
        "an owl | a cat",
        "Negative prompt: blur",
        "Steps: 2, Sampler: LCM, CFG scale: 1.0, Seed: 5, Size: 64x128, Model hash: ababababab, "
        "Model: flatland, Version: smd 0.1.0",
    ]


def test_the_short_form_without_a_canvas_of_its_own() -> None:
    follows = replace(RECIPE, scene={**RECIPE.scene, "canvas": None})
    assert ", Size: 64x128" in RECIPE.parameters()
    assert follows.parameters() == RECIPE.parameters().replace(", Size: 64x128", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"recipe": 2}',
        RECIPE.to_json().replace('"seed": 5', '"seed": 1e999'),
        '{"recipe": 2, "scene": {}, "family": "", "revision": "", "digests": {}, "versions": {}}',
        '{"recipe": 2, "scene": "x", "family": "", "revision": "", "digests": {}, "versions": {}}',
    ],
)
def test_a_damaged_recipe_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssetError, match="its recipe is damaged"):
        read_recipe(picture(tmp_path, text))


def test_a_recipe_of_another_version(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="of a version that this smd does not know"):
        read_recipe(picture(tmp_path, '{"recipe": 3}'))


def test_a_text_that_unpacks_without_end(tmp_path: Path) -> None:
    path = picture(tmp_path, "x" * 5_000_000, packed=True)
    with pytest.raises(AssetError, match="not a readable picture"):
        read_recipe(path)
    with pytest.raises(UsageError, match="no picture of smd's"):
        check_target(path)


def test_what_carries_none(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(AssetError, match="no smd recipe"):
        read_recipe(tmp_path / "x.png")
    with pytest.raises(AssetError, match="no such file"):
        read_recipe(tmp_path / "gone.png")
    with pytest.raises(AssetError, match="is a directory, not a picture"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("name", "hint"), [("people.yaml", "; `smd check` reads scenes"), ("people.png", "")]
)
def test_what_is_no_picture_at_all_is_a_plain_sentence(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_text("smd: 1")
    with pytest.raises(AssetError) as caught:
        read_recipe(tmp_path / name)
    assert str(caught.value) == (
        f"{tmp_path / name}: is not a picture or film of a format that smd writes{hint}"
    )
