"""LoRAs of single regions, from scenes to pictures, recipes and films, on the embedded model."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import smd_cli as smd
from smd_cli.engine.events import Started, Warned
from smd_cli.media.recipe import read_recipe
from smd_cli.scene.frame_times import EvenTimes
from smd_cli.scene.timeline import plan_at
from tests.cli.program import smd as command
from tests.embedded import backbone
from tests.models.lora_files import kohya, layers_of

STRONG = 0.02
REACH = 24  # px that the decoder sees of what lies beside
BOXES = {"a": [0, 0, 0.5, 0.5], "b": [0.5, 0, 1, 0.5], "c": [0, 0.5, 0.5, 1], "d": [0.5, 0.5, 1, 1]}


def scene(loras=None, side=64, **changes):
    """Four regions on a canvas; `loras` are by their names."""
    loras = loras or {}
    regions = [
        {"name": name, "prompt": f"a red {thing}", "mask": {"box": box}, "loras": loras.get(name, [])}
        for (name, box), thing in zip(BOXES.items(), ("circle", "square", "house", "tree"), strict=True)
    ]
    data = {"smd": 1, "canvas": {"width": side, "height": side}, "sampler": {"indices": [0, 25]},
            "bootstrap": {"steps": 2, "mix_steps": 2}, "regions": regions}  # fmt: skip
    return {**data, **changes}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two LoRAs for the embedded model."""
    folder, plain = tmp_path_factory.mktemp("loras"), backbone()
    for name, parts in (("style", ("unet", "text_encoder")), ("words", ("text_encoder",))):
        tensors = {}
        for part in parts:
            for layer in layers_of(plain.networks[part], part):
                tensors |= kohya(layer)
        size = STRONG if "unet" in parts else 10 * STRONG
        small = {each: tensor * size if "lora_up" in each else tensor for each, tensor in tensors.items()}
        save_file(small, folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def renderer(place):
    """A renderer that has loaded both LoRAs: scenes with one or none of them need not load again."""
    with smd.Renderer() as made:
        painted(
            made,
            place,
            scene({"a": [*style(), *style(name="words")]}, sampler={"indices": [0]}, bootstrap={}),
        )
        yield made


@pytest.fixture(scope="module")
def without(renderer, place):
    return painted(renderer, place, scene())


def painted(renderer, place, data, **overrides):
    opened = smd.load_scene(data, base_dir=place, overrides=overrides)
    return renderer.render(opened, seed=3)


def pixels(picture):
    return np.asarray(picture.image.convert("RGB")).astype(int)


def style(weight=1.0, name="style"):
    return [{"path": f"./{name}.safetensors", "weight": weight}]


def relative(one, other):
    return abs(one.latents - other.latents).max() / abs(other.latents).max()


def test_other_regions_are_to_the_bit_what_they_are_without_it(renderer, place):
    """While each region is painted alone on white, it sees nothing of what the others become."""
    without = painted(renderer, place, scene(side=128))
    for weights in ({"b": style()}, {"b": style(0.5), "c": style(-1.0)}):
        with_it = painted(renderer, place, scene(weights, side=128))
        latents = [each.latents[0] for each in (without, with_it)]
        half = latents[0].shape[-1] // 2
        quarters = {"a": np.s_[:, :half, :half], "b": np.s_[:, :half, half:],
                    "c": np.s_[:, half:, :half], "d": np.s_[:, half:, half:]}  # fmt: skip
        for name, quarter in quarters.items():
            changed = abs(latents[0][quarter] - latents[1][quarter]).max()
            assert (changed > 0.1) if name in weights else (changed == 0), name
    inner = np.s_[64 + REACH :, 64 + REACH :]
    assert abs(pixels(without)[inner] - pixels(with_it)[inner]).max() <= 1


def test_it_changes_what_a_region_s_words_mean(renderer, place, without):
    assert relative(painted(renderer, place, scene({"d": style(1.0, "words")})), without) > 0.05


@pytest.mark.slow
def test_on_everything_it_is_the_one_that_is_fused(renderer, place):
    everywhere = dict.fromkeys(BOXES, style(0.5))
    background = {"prompt": "a meadow"}
    local = painted(renderer, place, scene(everywhere, background={**background, "loras": style(0.5)}))
    fused = painted(renderer, place, scene(background=background, model={"loras": style(0.5)}))
    without = painted(renderer, place, scene(background=background))
    assert relative(local, fused) < 1e-3 < 0.1 < relative(without, fused)


@pytest.mark.slow
def test_a_weight_of_0_is_none_and_several_add_up(renderer, place, without):
    assert torch.equal(painted(renderer, place, scene({"d": style(0.0)})).latents, without.latents)
    several = painted(renderer, place, scene({"d": [*style(0.75), *style(-0.25), *style(1.0, "words")]}))
    sum_of_them = painted(renderer, place, scene({"d": [*style(1.0, "words"), *style(0.5)]}))
    assert relative(several, sum_of_them) < 1e-3
    assert relative(several, painted(renderer, place, scene({"d": style(0.5)}))) > 0.05


def test_weights_change_without_loading_again(place):
    heard = []
    with smd.Renderer(listener=heard.append) as renderer:
        for loras in ({"a": style()}, {"a": style(0.5), "d": style()}, {"b": style(-1.0)}, {}):
            painted(renderer, place, scene(loras))
    assert [each.phase for each in heard if isinstance(each, Started)].count("load") == 1


def test_guidance_and_tiles_and_prompt_strength_go_with_it(renderer, place):
    """Rows of the negative prompt have the region's LoRA too, and so has what is mixed in."""
    sampler = {"indices": [0, 25], "guidance_scale": 2.0, "tile": 64}
    background = {"prompt": "a meadow"}
    data = scene(dict.fromkeys(BOXES, style(0.5)), sampler=sampler)
    data["background"] = {**background, "loras": style(0.5)}
    for region in data["regions"]:
        region |= {"prompt_strength": 0.5, "negative_prompt": "a dog"}
    fused = json.loads(json.dumps(data))
    for each in (*fused["regions"], fused["background"]):
        each["loras"] = []
    fused["model"] = {"loras": style(0.5)}
    got, expected = painted(renderer, place, data), painted(renderer, place, fused)
    assert relative(got, expected) < 2e-3


def test_the_recipe_has_it_and_makes_the_picture_again(renderer, place, tmp_path):
    data = scene({"d": style(0.5)}, background={"prompt": "a meadow", "loras": style(0.25)})
    picture = painted(renderer, place, data)
    keys = {"regions[d].loras[0]", "background.loras[0]"}
    digests = {key: value for key, value in picture.recipe.digests.items() if key in keys}
    assert digests.keys() == keys
    picture.save(tmp_path / "a.png")
    again = smd.load_scene(read_recipe(tmp_path / "a.png").to_scene(), base_dir=place)
    assert torch.equal(renderer.render(again).latents, picture.latents)
    assert renderer.render(again).recipe.sha256 == picture.recipe.sha256
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("style", "renamed"):
        save_file(load_file(place / "style.safetensors"), moved / f"{name}.safetensors")
    renamed = scene({"d": style(0.5, "renamed")}, background=data["background"])
    assert painted(renderer, moved, renamed).recipe.sha256 == picture.recipe.sha256
    lighter = painted(renderer, place, scene({"d": style(0.4)}, background=data["background"]))
    assert lighter.recipe.sha256 != picture.recipe.sha256


def test_a_file_that_changed_is_told_at_its_place(place, tmp_path):
    save_file(load_file(place / "style.safetensors"), tmp_path / "style.safetensors")
    data = scene({"d": style(0.5)}) | {"digests": {"regions[d].loras[0]": "0" * 64}}
    heard = []
    with smd.Renderer(listener=heard.append) as renderer:
        painted(renderer, tmp_path, data)
    warned = [each.text for each in heard if isinstance(each, Warned)]
    assert [each.place.key for each in warned] == ["regions[3].loras[0]"]
    assert "the LoRA, ./style.safetensors, is not the file that the recipe was made with" in warned[0]


def stream(timeline, **changes):
    return scene(task="stream", stream={"frames": 5, "autoflush": True, "timeline": timeline, **changes})


def test_keyframes_ease_weights_in_and_out(place):
    timeline = [
        {"at": 2, "region": "d", "loras": style(1.0), "ease": "linear"},
        {"at": 4, "region": "d", "loras": style(1.0, "words"), "ease": "linear"},
        {"at": 3, "background": {"loras": style(0.5)}},
    ]
    plan = smd.load_scene(stream(timeline), base_dir=place).plan
    seen = []
    for frame in range(5):
        region = plan_at(plan, frame, EvenTimes.of(12.0)).regions[3]
        seen.append([(lora.path.text[2:7], lora.weight) for lora in region.loras])
    assert seen == [
        [],
        [("style", 0.5)],
        [("style", 1.0)],
        [("style", 0.5), ("words", 0.5)],
        [("words", 1.0)],
    ]
    assert [len(plan_at(plan, frame, EvenTimes.of(12.0)).background.loras) for frame in (2, 3)] == [0, 1]


def test_a_stream_shows_keyframes_of_it(renderer, place, without):
    timeline = [{"at": 2, "region": "d", "loras": style(1.0)}]
    frames = list(renderer.stream(smd.load_scene(stream(timeline, frames=3), base_dir=place), seed=3))
    with_it = painted(renderer, place, scene({"d": style()}))
    shown = [np.asarray(frame.image.convert("RGB")).astype(int) for frame in frames]
    assert abs(shown[0] - pixels(without)).max() <= 1
    assert abs(shown[2] - pixels(with_it)).max() <= 1


ONE = "{name: x, prompt: a cat, mask: {box: [0, 0, 0.5, 1]}, loras: [{path: ./l.safetensors}]}"
TEXT = f"smd: 1\ncanvas: {{width: 64, height: 64}}\nregions:\n  - {ONE}\n"


def checked(tmp_path, text=TEXT):
    (tmp_path / "a.yaml").write_text(text)
    done = command("check", str(tmp_path / "a.yaml"), "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    return done.exit_code, problem["text"], problem["key"]


def misfit(tmp_path):
    factors = {"down": torch.zeros(2, 7, 3, 3), "up": torch.zeros(7, 2, 1, 1)}
    tensors = {f"lora_unet_conv_in.lora_{part}.weight": factor for part, factor in factors.items()}
    save_file(tensors, tmp_path / "l.safetensors")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: None, "no such file"),
        (lambda folder: (folder / "l.safetensors").write_text("soon"), "not a safetensors file but a text"),
        (lambda folder: save_file({"x": torch.ones(2)}, folder / "l.safetensors"), "not a LoRA"),
        (misfit, "made for another model"),
    ],
)
def test_what_is_wrong_with_it_is_told_at_its_place(write, words, tmp_path):
    write(tmp_path)
    code, text, key = checked(tmp_path)
    assert code == 4
    assert words in text
    assert key == "regions[0].loras[0]"


def test_a_plan_names_it_among_the_models(place):
    (place / "a.yaml").write_text(TEXT.replace("l.safetensors", "style.safetensors"))
    planned = json.loads(command("plan", str(place / "a.yaml"), "--json").stdout)
    models = {(model["role"], model["key"], model["present"]) for model in planned["models"]}
    assert ("lora", "regions[0].loras[0]", True) in models
