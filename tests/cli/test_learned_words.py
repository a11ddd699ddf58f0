"""Textual inversions from a scene to its picture, and what is told of them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers.models.clip.tokenization_clip import CLIPTokenizer

from smd_cli.media.recipe import read_recipe
from smd_cli.models.sources import open_files
from tests.cli.program import pixels, smd

SCENE = """\
smd: 1
canvas: {{width: 64, height: 64}}
sampler: {{indices: [0, 25]}}
model: {{textual_inversions: [{{path: words/pinkish.safetensors{token}}}]}}
background: {{prompt: "{prompt}"}}
"""


@pytest.fixture(autouse=True)
def word(tmp_path, monkeypatch):
    """A word of two vectors, which are those of two words that the embedded model knows."""
    monkeypatch.chdir(tmp_path)
    embedded = open_files("flatland", offline=True).fetch(())
    tokenizer = CLIPTokenizer.from_pretrained(embedded / "tokenizer")
    with safe_open(embedded / "text_encoder" / "model.safetensors", framework="pt") as file:
        name = next(each for each in file.keys() if "token_embedding" in each)  # noqa: SIM118
        own = file.get_tensor(name).float()
    known = torch.tensor(tokenizer("pink hair", add_special_tokens=False).input_ids)
    Path("scenes/words").mkdir(parents=True)
    save_file({"<pinkish>": own[known]}, "scenes/words/pinkish.safetensors")


def painted(prompt, token=""):
    Path("scenes/a.yaml").write_text(SCENE.format(prompt=prompt, token=token))
    done = smd("generate", "scenes/a.yaml", "-o", "a.png", "--overwrite", "--json")
    assert done.exit_code == 0, done.stderr
    return pixels("a.png"), json.loads(done.stdout)["warnings"]


def test_a_word_paints_what_its_vectors_mean():
    expected, _ = painted("1girl, pink hair, smile")
    learned, warnings = painted("1girl, <pinkish>, smile")
    assert (learned == expected).all()
    assert warnings == []
    renamed, _ = painted("1girl, (pretty), smile", ", token: pretty")
    assert (renamed == painted("1girl, (pink hair), smile")[0]).all()


@pytest.mark.parametrize(
    ("prompt", "token", "words"),
    [
        ("a house, pinkish", "", "no prompt has its word, '<pinkish>'"),
        ("a house, <Pinkish>", "", "no prompt has its word, '<pinkish>'; '<Pinkish>' is another, for upper"),
        ("prettiest", ", token: pretty", "no prompt has its word, 'pretty'"),
        ("a house (<pinkish>:1.2)", "", None),
        ("pretty, a house", ", token: pretty", None),
    ],
)
def test_a_word_that_no_prompt_has_is_warned_of(prompt, token, words):
    Path("scenes/a.yaml").write_text(SCENE.format(prompt=prompt, token=token))
    warnings = json.loads(smd("check", "scenes/a.yaml", "--json").stdout)["warnings"]
    assert [(words in warning["text"], warning["key"]) for warning in warnings] == (
        [(True, "model.textual_inversions[0]")] if words else []
    )


@pytest.mark.parametrize(
    "where",
    [
        "negative_prefix: <pinkish>",
        "regions: [{name: x, prompt: y, negative_prompt: <pinkish>, mask: rest}]",
        "stream: {timeline: [{at: 1, background: {prompt: <pinkish>}}]}",
    ],
)
def test_a_word_may_be_in_any_prompt(where):
    Path("scenes/a.yaml").write_text(SCENE.format(prompt="a house", token="") + where + "\n")
    assert json.loads(smd("check", "scenes/a.yaml", "--json").stdout)["warnings"] == []


def test_the_recipe_holds_the_file_and_its_digest():
    painted("1girl, <pinkish>")
    recipe = read_recipe(Path("a.png"))
    assert recipe.scene["model"]["textual_inversions"] == [
        {"path": "words/pinkish.safetensors", "token": "<pinkish>"}
    ]
    before = recipe.digests["model.textual_inversions[0]"]
    save_file({"<pinkish>": torch.ones(2, 128)}, "scenes/words/pinkish.safetensors")
    painted("1girl, <pinkish>")
    assert read_recipe(Path("a.png")).digests["model.textual_inversions[0]"] != before
