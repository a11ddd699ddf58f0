"""Prompts as commands tell of them: those longer than the encoder reads, and notations of other programs."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from transformers.models.clip.tokenization_clip import CLIPTokenizer

import smd_cli as smd
from smd_cli.engine.events import Noted
from tests.cli.program import smd as run
from tests.embedded import backbone

LONG = "1girl, a long (coat:1.2) with many buttons, gloves, " * 9
PREFIX = "cropped, blurry, out of focus, a bad picture, watermark, " * 2
SCENE = f"""\
smd: 1
canvas: {{width: 64, height: 64}}
background: {{prompt: grass}}
regions:
  - {{name: boy, prompt: "{LONG}", mask: rest}}
"""


def notes(text: str, **changes: object) -> list[str]:
    return [str(note) for note in smd.load_scene(text, overrides=changes).notes]


def tokens(text: str) -> int:
    tokenizer = CLIPTokenizer.from_pretrained(backbone().assets.configs / "tokenizer")
    return len(tokenizer(text, add_special_tokens=False).input_ids)


def test_a_long_prompt_is_noted_with_its_place():
    count = tokens(LONG.replace("(coat:1.2)", "coat"))
    assert count > 150
    chunks = len(backbone().text_encoders[0].tokenizer.chunks(LONG.strip()))
    assert notes(SCENE) == [
        f"scene:5:25: regions[0].prompt: {count} tokens of region 'boy', "
        f"read in {chunks} chunks of at most 75"
    ]


def test_breaks_are_as_they_are_asked_for_and_short_prompts_too():
    halves = f"{'a cat, ' * 12}BREAK {'a dog, ' * 12}"
    assert len(backbone().text_encoders[0].tokenizer.chunks(halves)) == 2
    assert notes(SCENE, **{"regions[boy].prompt": halves}) == []
    assert notes(SCENE, **{"regions[boy].prompt": "a cat with a hat and a very long tail, " * 2}) == []


def test_the_prefix_counts_with_each_negative_prompt():
    changes = {"regions[boy].prompt": "a boy", "background.negative_prompt": PREFIX}
    count = tokens(PREFIX.rstrip(", "))
    assert 37 < count <= 75
    assert notes(SCENE, **changes) == []
    (said,) = notes(SCENE, negative_prefix=PREFIX, **changes)
    assert f"{2 * count + 1} tokens of the background, read in 2 chunks" in said


def test_prompts_of_keyframes_are_noted_too():
    timeline = [{"at": 2, "background": {"prompt": LONG}}]
    changes = {"regions[boy].prompt": "a boy", "stream.timeline": timeline, "task": "stream"}
    (said,) = notes(SCENE, **changes)
    assert "tokens of the background, read in" in said


def test_learned_words_count_with_all_of_their_vectors(tmp_path):
    vectors = torch.zeros(100, backbone().networks["text_encoder"].config.hidden_size)
    save_file({"style": vectors}, tmp_path / "style.safetensors")
    inversions = [{"path": str(tmp_path / "style.safetensors")}]
    boy = {"regions[boy].prompt": "1boy, in the style"}
    assert notes(SCENE, **boy) == []
    (said,) = notes(SCENE, **boy, **{"model.textual_inversions": inversions})
    assert f"{tokens(boy['regions[boy].prompt'].removesuffix('style')) + 100} tokens of region 'boy'" in said


def test_a_model_that_is_not_here_tells_nothing():
    assert notes(SCENE, model="./nowhere") == []


def test_a_model_with_a_broken_tokenizer_tells_nothing(tmp_path):
    model = shutil.copytree(backbone().assets.configs, tmp_path / "model")
    (model / "tokenizer" / "tokenizer.json").write_text("{}")
    assert notes(SCENE, model=str(model)) == []


@pytest.mark.parametrize("command", ["check", "plan", "generate"])
def test_commands_note_it_alike(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    done = run(command, "s.yaml")
    assert done.exit_code == 0
    assert done.stderr.count("tokens of region 'boy', read in") == 1
    assert "note: s.yaml:5:25: regions[0].prompt: " in done.stderr
    written = run(command, "s.yaml", "--json", "-q", *(["--overwrite"] if command == "generate" else []))
    assert [note["key"] for note in json.loads(written.stdout)["notes"]] == ["regions[0].prompt"]


@pytest.mark.parametrize("command", ["check", "plan", "generate"])
def test_commands_warn_alike_of_notations_of_other_programs(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE.replace(LONG, "a boy, <lora:x:0.8>"))
    done = run(command, "s.yaml", "--json")
    told = (
        "'<lora:x:0.8>' of region 'boy' has no meaning here and is read as words: give LoRAs in model.loras"
    )
    assert f"warning: s.yaml:5:25: regions[0].prompt: {told}" in done.stderr
    (warning,) = json.loads(done.stdout)["warnings"]
    assert (warning["line"], warning["key"]) == (5, "regions[0].prompt")
    assert warning["text"].startswith(told)


def test_a_listener_hears_it():
    heard: list[object] = []
    smd.load_scene(SCENE, listener=heard.append)
    assert [type(event) for event in heard] == [Noted]
