"""Plans: every default filled in, and writable as a scene that resolves to the same plan."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smd_cli.scene.loader import load_text
from smd_cli.scene.mask_specs import ImageMask
from smd_cli.scene.prompts import PromptMix
from smd_cli.scene.resolve import Plan, resolve

BASE = "smd: 1\ncanvas: {width: 384, height: 256}\n"


def plan(text: str, folder: Path = Path("/scenes")) -> Plan:
    loaded = load_text(BASE + text, "s.yaml", "s", folder)
    return resolve(loaded.scene, loaded.name, loaded.base_dir)


def again(first: Plan) -> Plan:
    return resolve(load_text(json.dumps(first.to_dict()), "recipe").scene, first.name, Path("/scenes"))


def test_defaults() -> None:
    filled = plan("background: {prompt: an owl}").to_dict()
    assert filled == {
        "smd": 1,
        "task": "generate",
        "canvas": {"width": 384, "height": 256, "wrap": "none"},
        "seed": 0,
        "model": {
            "base": "flatland",
            "family": "auto",
            "vae": None,
            "loras": [],
            "textual_inversions": [],
            "config": None,
            "lcm_lora": None,
            "t5": "auto",
            "t5_length": 256,
        },
        "sampler": {
            "kind": "lcm",
            "steps": 50,
            "indices": [0, 4, 12, 25, 37],
            "spacing": None,
            "gamma": None,
            "guidance_scale": 1.0,
            "guidance": "none",
            "delta": 1.0,
            "guidance_rescale": 0.0,
            "late": "views",
            "tile": "native",
            "overlap": 0.5,
        },
        "bootstrap": {
            "steps": 2,
            "mix_steps": 1.5,
            "leak_sensitivity": 0.2,
            "show_through": False,
            "own_tiles": False,
        },
        "masks": {"type": "discrete", "cover_alpha": 0.3},
        "background": {
            "prompt": "an owl",
            "negative_prompt": "",
            "image": None,
            "fit": "cover",
            "strength": None,
            "loras": [],
        },
        "regions": [],
        "stream": {
            "frames": 50,
            "seconds": None,
            "fps": 12.0,
            "loop": 0,
            "buffer": 1,
            "mode": "batch",
            "autoflush": False,
            "variation": 0.0,
            "input": None,
            "fit": "cover",
            "strength": None,
            "similarity": None,
            "timeline": [],
        },
    }


def test_regions_take_the_masks_defaults_and_the_negative_prefix() -> None:
    resolved = plan(
        "negative_prefix: 'ugly, '\n"
        "masks: {std: 3, strength: 0.5}\n"
        "background: {prompt: x}\n"
        "regions:\n"
        "  - {name: a, prompt: y, mask: m/a.png, negative_prompt: blue}\n"
        "  - {name: b, prompt: ' z ', mask: rest, mask_std: 0, mask_strength: 0.0}\n"
    )
    first, second = resolved.regions
    assert (first.mask_std, first.mask_strength) == (3, 0.5)
    assert first.negative_prompt == PromptMix.of("ugly, blue")
    assert (second.mask_std, second.mask_strength, second.negative_prompt) == (0, 0, PromptMix.of("ugly"))
    assert second.prompt == PromptMix.of("z")
    assert resolved.background.negative_prompt == PromptMix.of("ugly")
    assert isinstance(first.mask, ImageMask)
    assert first.mask.image.path == Path("/scenes/m/a.png")


@pytest.mark.parametrize("prompt", ["a ,", "a , ,", " a,, ", "a\u00a0,"])
def test_a_negative_prompt_is_joined_once_and_for_all(prompt: str) -> None:
    joined = plan(f"negative_prefix: '{prompt}'\nbackground: {{prompt: x, negative_prompt: b}}")
    assert joined.background.negative_prompt == PromptMix.of("a, b")
    alone = plan(f"background: {{prompt: x, negative_prompt: '{prompt}'}}")
    assert alone.background.negative_prompt == PromptMix.of("a") == again(alone).background.negative_prompt


@pytest.mark.parametrize(
    ("sampler", "indices"),
    [
        ("{kind: lcm}", (0, 4, 12, 25, 37)),
        ("{kind: lcm, steps: 25}", (0, 2, 6, 12, 18)),
        ("{kind: lcm, steps: 4}", (0, 1, 2, 3)),
        ("{kind: ddim, steps: 3}", (0, 1, 2)),
        ("{kind: ddim, steps: 3, indices: [0, 1, 2]}", (0, 1, 2)),
    ],
)
def test_schedule_indices(sampler: str, indices: tuple[int, ...]) -> None:
    assert plan(f"background: {{prompt: x}}\nsampler: {sampler}").sampler.indices == indices


@pytest.mark.parametrize(
    ("sampler", "guidance"),
    [("{}", "none"), ("{guidance_scale: 3}", "full"), ("{guidance_scale: 3, guidance: none}", "none")],
)
def test_guidance_follows_its_scale(sampler: str, guidance: str) -> None:
    assert plan(f"background: {{prompt: x}}\nsampler: {sampler}").sampler.guidance == guidance


def test_the_default_bootstrap_gives_way_to_a_short_schedule() -> None:
    assert plan("background: {prompt: x}\nsampler: {indices: [0]}").bootstrap.steps == 1


@pytest.mark.parametrize(
    ("more", "steps", "mix_steps"),
    [
        ("sampler: {kind: euler}", 2, 1.5),
        ("sampler: {kind: euler, steps: 7}", 2, 1.5),
        ("sampler: {kind: euler, steps: 8}", 3, 2.25),
        ("sampler: {kind: dpmpp}", 10, 7.5),
        ("sampler: {kind: ddim}", 20, 15),
        ("sampler: {kind: ddim}\nbootstrap: {mix_steps: 3}", 20, 3),
        ("sampler: {kind: ddim}\nbootstrap: {steps: 2}", 2, 15),
        ("sampler: {kind: ddim}\nbootstrap: {show_through: true}", 20, 1.5),
        ("sampler: {kind: ddim}\ntask: panorama", 0, 15),
    ],
)
def test_the_default_bootstrap_is_a_share_of_the_steps(more: str, steps: int, mix_steps: float) -> None:
    found = plan(f"background: {{prompt: x}}\n{more}").bootstrap
    assert (found.steps, found.mix_steps) == (steps, mix_steps)


def test_what_is_a_path_and_what_is_a_name(tmp_path: Path) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    (tmp_path / "flatland").mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model_index.json").touch()

    def base(text: str) -> str:
        return plan(f"background: {{prompt: x}}\nmodel: {text}", tmp_path).model.base.source

    assert base("flatland") == "flatland"
    assert base("some/model") == "some/model"
    assert base("models/mine") == str(tmp_path / "models/mine")
    assert base("mine") == str(tmp_path / "mine")
    assert base("~nobody-of-that-name/x") == str(tmp_path / "~nobody-of-that-name/x")
    assert base(f"some/{'x' * 300}") == f"some/{'x' * 300}"
    assert base("./gone") == str(tmp_path / "gone")
    assert base("x.safetensors") == str(tmp_path / "x.safetensors")
    assert base("folder/x.safetensors") == str(tmp_path / "folder/x.safetensors")
    assert base("folder/x.bin") == str(tmp_path / "folder/x.bin")
    (tmp_path / "styles").mkdir()
    assert base("styles") == "styles"
    (tmp_path / "styles/x.safetensors").touch()
    assert base("styles") == str(tmp_path / "styles")


@pytest.mark.parametrize(
    "text",
    [
        "owner/name",
        "owner/name@v1",
        "owner/name@refs/pr/3/x.safetensors",
        "owner/name/x.safetensors",
        "owner/name@v1/folder/my x.safetensors",
        "hf://owner/name/x.safetensors",
        "https://huggingface.co/owner/name/blob/main/x.safetensors",
        "huggingface.co/owner/name/blob/main/x.safetensors",
        "https://example.com/x.safetensors",
    ],
)
def test_what_names_a_place_of_the_hub_stays_as_it_is(text: str, tmp_path: Path) -> None:
    parts = "".join(f"{key}: {text!r}, " for key in ("base", "vae", "config", "lcm_lora"))
    model = f"{{{parts}loras: [{{path: {text!r}}}]}}"
    found = plan(f"background: {{prompt: x}}\nmodel: {model}", tmp_path)
    references = (found.model.base, found.model.vae, found.model.config, found.model.lcm_lora)
    for reference in (*references, found.model.loras[0].path):
        assert reference is not None
        assert (reference.source, reference.portable) == (text, text)
    assert found.to_dict()["model"]["base"] == text


def test_a_file_beside_the_scene_comes_before_the_hub(tmp_path: Path) -> None:
    (tmp_path / "owner/name").mkdir(parents=True)
    (tmp_path / "owner/name/x.safetensors").touch()
    for text in ("owner/name", "owner/name/x.safetensors"):
        found = plan(f"background: {{prompt: x}}\nmodel: {text}", tmp_path)
        assert found.model.base.source == str(tmp_path / text)
        assert plan(f"background: {{prompt: x}}\nmodel: {text}", tmp_path / "owner").model.base.source == text


def fractions(least: float, most: float) -> st.SearchStrategy[float]:
    return st.floats(least, most, allow_nan=False)


MASKS = st.one_of(
    st.just("rest"),
    st.just("a b.png"),
    st.fixed_dictionaries(
        {"image": st.just("x.png"), "channel": st.sampled_from(["auto", "red"]), "invert": st.booleans()}
    ),
    st.fixed_dictionaries(
        {"image": st.just("x.png"), "color": st.just("#00fF7a"), "tolerance": st.integers(0, 255)}
    ),
    st.fixed_dictionaries({"box": st.just([0, 0.25, 0.5, 1])}),
    st.fixed_dictionaries(
        {"ellipse": st.tuples(fractions(-1, 2), fractions(-1, 2), fractions(0.01, 2), fractions(0.01, 2))}
    ),
    st.fixed_dictionaries(
        {"polygon": st.lists(st.tuples(fractions(-1, 2), fractions(-1, 2)), min_size=3, max_size=6)}
    ),
)
REGION = {
    "name": st.just("n"),
    "prompt": st.text("abc :#'\"{}[]-\n", min_size=1).filter(str.strip),
    "mask": MASKS,
}
SHIFT = st.tuples(fractions(-2, 2), fractions(-2, 2))
REGION_CHANGES = {
    "prompt": st.just(" new "),
    "negative_prompt": st.text("ab, "),
    "mask": MASKS,
    "mask_std": fractions(0, 256),
    "prompt_strength": fractions(0, 1),
    "shift": SHIFT,
}
WHEN = st.fixed_dictionaries(
    {"at": st.one_of(st.integers(0, 8), st.just("0.125s"))},
    optional={"ease": st.sampled_from(["none", "linear", "smooth"])},
)
KEYFRAME = st.builds(
    dict.__or__,
    WHEN,
    st.one_of(
        st.fixed_dictionaries(
            {"region": st.just("n"), "mask_strength": fractions(0, 1)}, optional=REGION_CHANGES
        ),
        st.fixed_dictionaries(
            {
                "background": st.fixed_dictionaries(
                    {"prompt": st.text("ab, ")},
                    optional={"negative_prompt": st.text("ab, "), "image": st.just("./c.jpg")},
                )
            }
        ),
    ),
)
STREAM = st.builds(
    dict.__or__,
    st.one_of(st.just({}), st.just({"frames": 9}), st.just({"seconds": 3.5})),
    st.fixed_dictionaries(
        {},
        optional={
            "fps": fractions(3, 60),
            "loop": st.integers(0, 9),
            "buffer": st.integers(1, 64),
            "mode": st.sampled_from(["batch", "sequential"]),
            "autoflush": st.booleans(),
            "variation": fractions(0, 1),
            "input": st.sampled_from(["clip.mp4", "frames/*.png"]),
            "similarity": st.fixed_dictionaries({}, optional={"max_skip": st.integers(1, 9)}),
            "timeline": st.lists(KEYFRAME, max_size=1),
        },
    ),
)
SCENES = st.fixed_dictionaries(
    {
        "smd": st.just(1),
        "canvas": st.fixed_dictionaries(
            {"width": st.just(512), "height": st.just(64), "wrap": st.sampled_from(["none", "x"])}
        ),
        "regions": st.lists(st.fixed_dictionaries(REGION, optional={"shift": SHIFT}), min_size=1, max_size=1),
    },
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "task": st.sampled_from(["generate", "panorama", "stream"]),
        "model": st.just(
            {
                "base": "x",
                "vae": "./v",
                "loras": [{"path": "l/l.safetensors", "weight": -0.5}],
                "textual_inversions": [{"path": "w/w.safetensors", "token": "<W>"}, {"path": "o/w"}],
                "config": "./c",
                "lcm_lora": "none",
            }
        ),
        "sampler": st.fixed_dictionaries(
            {
                "kind": st.sampled_from(["lcm", "ddim"]),
                "tile": st.sampled_from([256, "native"]),
                "overlap": fractions(0, 0.75),
            }
        ),
        "background": st.fixed_dictionaries(
            {"prompt": st.text("ab, "), "image": st.sampled_from([None, "b.jpg"])}
        ),
        "negative_prefix": st.text("ab, "),
        "stream": STREAM,
    },
)


@given(SCENES)
def test_a_plan_written_as_a_scene_resolves_to_itself(scene: dict[str, Any]) -> None:
    loaded = load_text(json.dumps(scene), "s.yaml", "s", Path("/scenes"))
    first = resolve(loaded.scene, loaded.name, loaded.base_dir)
    assert again(first) == first
