"""What a scene says about its canvas and the picture on it: which keys need which, and the plan of that."""

import json
from pathlib import Path

import pytest

from smd_cli.errors import SceneError
from smd_cli.messages import Place
from smd_cli.scene.lints import lint
from smd_cli.scene.loader import Asked, load_text
from smd_cli.scene.paths import Reference
from smd_cli.scene.resolve import Plan, resolve
from smd_cli.scene.schema import Canvas
from smd_cli.scene.tree import dotted

CANVAS = "canvas: {width: 384, height: 256}\n"
REGION = "regions: [{name: a, prompt: x, mask: rest}]\n"


def problems(text: str, task: str | None = None) -> list[str]:
    """What is wrong, without the places, which other tests hold."""
    with pytest.raises(SceneError) as caught:
        load_text(f"smd: 1\n{text}", "s.yaml", asked=Asked(task=task))
    return [line.split(": ", 1)[1] for line in caught.value.problems]


def plan(text: str, picture_size: tuple[int, int] | None = None, task: str | None = None) -> Plan:
    loaded = load_text(f"smd: 1\n{text}", "s.yaml", "s", Path("/scenes"), asked=Asked(task=task))
    return resolve(loaded.scene, loaded.name, loaded.base_dir, picture_size)


def lints(text: str) -> list[str]:
    return list(map(str, lint(plan(text), lambda *loc: Place(dotted(loc)))))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "background: {prompt: x}",
            "canvas is missing (only a background picture can stand in for its size)",
        ),
        (
            f"task: inpaint\n{CANVAS}{REGION}background: {{prompt: x}}",
            "background: image is missing (the picture that the task inpaint paints on)",
        ),
        (
            f"{CANVAS}background: {{prompt: x, place: [0, 0]}}",
            "background.place: is about a background picture: give background.image",
        ),
        (
            f"{CANVAS}background: {{prompt: x, strength: 0.5}}",
            "background.strength: is about a background picture: give background.image",
        ),
        (
            f"{CANVAS}background: {{image: b.png, strength: 0.5}}",
            "background.strength: repaints the picture from background.prompt: give one",
        ),
        (
            f"{CANVAS}background: {{image: b.png, prompt: x, strength: 0}}",
            "background.strength: 0 is not above 0",
        ),
        (
            f"{CANVAS}background: {{image: b.png, prompt: x, strength: 1.5}}",
            "background.strength: 1.5 is above 1",
        ),
        (
            f"{CANVAS}background: {{image: b.png, prompt: x, place: [0, 0], fit: cover}}",
            "background.fit: does not go with place, which leaves the picture unscaled",
        ),
        (
            "background: {image: b.png, prompt: x, place: [0, 0]}",
            "background.place: is a place on the canvas: give canvas.width and canvas.height",
        ),
        (
            f"{CANVAS}background: {{image: b.png, prompt: x, place: [0]}}",
            "background.place: has 1 items; at least 2 belong here",
        ),
        (
            f"{CANVAS}background: {{image: b.png, prompt: x, place: [0, 0.5]}}",
            "background.place: is in px; 0.5 of 256 px is 128",
        ),
        (
            f"{CANVAS}background: {{image: b.png, prompt: x, fit: contian}}",
            "background.fit: 'contian' is not one of cover, contain, stretch; did you mean contain?",
        ),
        (
            "canvas: {width: 384, height: 256, wrap: x}\nsampler: {tile: 512}\nbackground: {prompt: x}",
            "canvas.wrap: a canvas 384 px wide cannot wrap around tiles of 512 px; make it wider, or "
            "sampler.tile smaller",
        ),
        (
            f"{CANVAS}sampler: {{overlap: 0.8}}\nbackground: {{prompt: x}}",
            "sampler.overlap: 0.8 is above 0.75",
        ),
    ],
)
def test_a_key_without_what_it_needs(text: str, problem: str) -> None:
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    "more", ["", "prompt: x", "prompt: x, fit: stretch", "fit: contain", "place: [0, 0]"]
)
def test_nothing_to_paint_on_a_picture(more: str) -> None:
    (problem,) = problems(f"{CANVAS}background: {{image: b.png, {more}}}")
    assert problem.startswith("there is nothing to paint on the background picture: give a region")


@pytest.mark.parametrize(
    "text",
    [
        f"background: {{image: b.png}}\n{REGION}",
        "background: {image: b.png, prompt: x, strength: 1}",
        f"{CANVAS}background: {{image: b.png, prompt: x, fit: contain}}",
        f"{CANVAS}background: {{image: b.png, prompt: x, place: [-9, 0]}}",
    ],
)
@pytest.mark.parametrize("task", ["generate", "inpaint"])
def test_something_to_paint_on_a_picture(text: str, task: str) -> None:
    assert plan(text, (64, 64), task).background.image == Reference("b.png", Path("/scenes"))


def test_a_value_that_is_wrong_by_itself_is_told_once() -> None:
    assert len(problems(f"{CANVAS}background: {{image: b.png, prompt: x, strength: high}}")) == 1
    assert len(problems("background: {image: '', prompt: x}")) == 1
    assert len(problems("background: 5")) == 1
    assert len(problems(f"{CANVAS}background: {{image: b.png, prompt: x, place: here}}")) == 1
    assert len(problems("background: {image: b.png, prompt: x, place: [a, b]}")) == 3


def test_the_command_s_task_is_that_of_a_scene_without_one() -> None:
    text = f"{CANVAS}background: {{prompt: x}}"
    assert plan(text, task="panorama").sampler.indices == (0, 12, 25, 37)
    assert plan(f"task: generate\n{text}", task="panorama").task == "generate"
    assert "image is missing" in problems(text, task="inpaint")[0]


@pytest.mark.parametrize(
    ("more", "indices", "steps"),
    [
        ("", (0, 12, 25, 37), 0),
        ("sampler: {steps: 25}", (0, 6, 12, 18), 0),
        ("sampler: {steps: 4}", (0, 1, 2, 3), 0),
        ("bootstrap: {mix_steps: 1}", (0, 12, 25, 37), 0),
        ("bootstrap: {steps: 2}", (0, 12, 25, 37), 2),
        ("sampler: {indices: [0, 4, 12]}", (0, 4, 12), 0),
    ],
)
def test_panoramas_have_defaults_of_their_own(more: str, indices: tuple[int, ...], steps: int) -> None:
    found = plan(f"task: panorama\n{CANVAS}background: {{prompt: x}}\n{more}")
    assert (found.sampler.indices, found.bootstrap.steps) == (indices, steps)


def test_a_picture_that_is_repainted_has_its_layout_already() -> None:
    repainted = f"{CANVAS}background: {{image: b.png, prompt: x, strength: 0.5}}\n"
    assert plan(repainted).bootstrap.steps == 0
    assert plan(f"{repainted}bootstrap: {{steps: 1}}").bootstrap.steps == 1


def test_overlap_and_what_lies_where_are_in_the_plan() -> None:
    found = plan(
        f"{CANVAS}sampler: {{overlap: 0.25}}\n"
        "background: {image: b.png, prompt: x, place: [-9, 7], strength: 0.75}"
    )
    assert found.sampler.overlap == 0.25
    assert (found.background.place, found.background.strength) == ((-9, 7), 0.75)
    plain = plan(f"{CANVAS}background: {{prompt: x}}")
    assert plain.sampler.overlap == 0.5
    assert (plain.background.fit, plain.background.place, plain.background.strength) == (
        "cover",
        None,
        None,
    )


def test_bootstrap_is_measured_against_a_panorama_s_schedule() -> None:
    text = f"task: panorama\n{CANVAS}background: {{prompt: x}}\nbootstrap: {{steps: 5}}"
    assert problems(text) == ["bootstrap.steps: 5 is more than the sampler's 4 steps"]


@pytest.mark.parametrize("background", ["", "background: {prompt: ' '}\n"])
def test_only_a_background_shows_through(background: str) -> None:
    text = f"{CANVAS}{background}bootstrap: {{show_through: true}}\n"
    region = "regions: [{name: a, prompt: x, mask: rest}]"
    told = "bootstrap.show_through: only a background can show through; give it a prompt or a picture"
    assert problems(text + region) == [told]


def test_a_picture_shows_through() -> None:
    text = f"{CANVAS}background: {{image: b.png}}\nbootstrap: {{show_through: true}}\n"
    assert plan(text + "regions: [{name: a, prompt: x, mask: rest}]").bootstrap.show_through


@pytest.mark.parametrize(
    ("picture", "canvas"), [((640, 480), (640, 480)), ((641, 479), (648, 480)), ((64, 71), (64, 72))]
)
def test_a_canvas_follows_the_picture(picture: tuple[int, int], canvas: tuple[int, int]) -> None:
    found = plan(f"background: {{image: b.png}}\n{REGION}", picture)
    assert (found.canvas, found.size) == (Canvas(width=canvas[0], height=canvas[1]), picture)


def test_a_canvas_of_its_own_does_not_follow() -> None:
    found = plan(f"{CANVAS}background: {{image: b.png}}\n{REGION}", (999, 999))
    assert found.size == (found.canvas.width, found.canvas.height) == (384, 256)


@pytest.mark.parametrize("picture", [(1, 1), (63, 640), (64, 16385), (16000, 16000)])
def test_a_picture_that_gives_no_canvas(picture: tuple[int, int]) -> None:
    with pytest.raises(SceneError, match=rf"a picture of {picture[0]}x{picture[1]} px gives no canvas"):
        plan(f"background: {{image: b.png}}\n{REGION}", picture)


def test_a_plan_needs_a_canvas_or_a_picture_s_size() -> None:
    with pytest.raises(ValueError, match="size is not given"):
        plan(f"background: {{image: b.png}}\n{REGION}")


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        (f"background: {{image: b.png}}\n{REGION}", (641, 479)),
        (f"background: {{image: b.png}}\n{REGION}", (640, 480)),
        (f"{CANVAS}background: {{image: b.png, prompt: x, place: [-9, 7], strength: 0.25}}", None),
        (f"{CANVAS}background: {{image: b.png, prompt: x, fit: contain}}", None),
        (
            "task: panorama\ncanvas: {width: 512, height: 64, wrap: x}\nsampler: {overlap: 0.25, tile: 64}\n"
            "background: {prompt: x}",
            None,
        ),
        (f"task: panorama\n{CANVAS}background: {{prompt: x}}\nbootstrap: {{steps: 3}}", None),
    ],
)
def test_a_plan_written_as_a_scene_resolves_to_itself(text: str, picture: tuple[int, int] | None) -> None:
    first = plan(text, picture)
    again = load_text(json.dumps(first.to_dict()), "recipe").scene
    assert resolve(again, first.name, Path("/scenes"), picture) == first


def test_only_a_canvas_that_follows_is_left_out_of_the_written_scene() -> None:
    text = f"background: {{image: b.png}}\n{REGION}"
    assert plan(text, (641, 479)).to_dict()["canvas"] is None
    assert plan(text, (640, 480)).to_dict()["canvas"] == {"width": 640, "height": 480, "wrap": "none"}


def test_a_fit_without_a_picture_is_warned_of() -> None:
    said = lints(f"{CANVAS}background: {{prompt: x, fit: stretch}}")
    assert said == ["background.fit: has no effect without a background picture"]


WITHOUT_STEPS = "has no effect without bootstrapped steps"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("steps: 0, show_through: true", {"show_through": WITHOUT_STEPS}),
        ("steps: 0, own_tiles: true", {"own_tiles": WITHOUT_STEPS}),
        ("steps: 0, mix_steps: 1", {"mix_steps": WITHOUT_STEPS}),
        ("steps: 0, leak_sensitivity: 0", {"leak_sensitivity": WITHOUT_STEPS}),
        (
            "steps: 0, mix_steps: 1, show_through: true",
            {"mix_steps": WITHOUT_STEPS, "show_through": WITHOUT_STEPS},
        ),
        ("steps: 0", {}),
        ("steps: 1, show_through: true", {}),
        ("steps: 1, mix_steps: 2, show_through: true", {"mix_steps": "has no effect with show_through"}),
        ("steps: 1, mix_steps: 2, leak_sensitivity: 1", {}),
        ("own_tiles: true", {"own_tiles": "has no effect without regions"}),
    ],
)
def test_idle_settings_of_the_bootstrap_are_warned_of(settings: str, told: dict[str, str]) -> None:
    scene = f"{CANVAS}background: {{prompt: x}}\nbootstrap: {{{settings}}}\n"
    assert lints(scene) == [f"bootstrap.{key}: {text}" for key, text in told.items()]
    with_region = {key: text for key, text in told.items() if "regions" not in text}
    assert lints(scene + REGION) == [f"bootstrap.{key}: {text}" for key, text in with_region.items()]


@pytest.mark.parametrize("settings", ["", "bootstrap: {steps: 0}", "bootstrap: {show_through: true}"])
@pytest.mark.parametrize("task", ["generate", "panorama"])
def test_a_bootstrap_that_follows_from_many_steps_is_nobody_s_mistake(settings: str, task: str) -> None:
    """Its `mix_steps` is another than the few steps' one, though nobody has written it."""
    scene = f"task: {task}\n{CANVAS}background: {{prompt: x}}\nsampler: {{kind: ddim}}\n{settings}\n"
    idle = [f"bootstrap.show_through: {WITHOUT_STEPS}"] if "show" in settings and task == "panorama" else []
    assert lints(scene + REGION) == idle


def test_loras_of_a_background_that_nothing_paints_are_warned_of() -> None:
    lora = "loras: [{path: ./a.safetensors}]"
    region = "regions: [{name: x, prompt: y, mask: rest}]\n"
    keyframe = "stream: {timeline: [{at: 3, background: {prompt: grass}}]}\n"
    told = ["background.loras: has no effect without a prompt of the background"]
    assert lints(f"{CANVAS}background: {{{lora}}}\n{region}") == told
    assert lints(f"{CANVAS}background: {{prompt: grass, {lora}}}\n{region}") == []
    assert lints(f"{CANVAS}background: {{{lora}}}\n{region}{keyframe}") == []
