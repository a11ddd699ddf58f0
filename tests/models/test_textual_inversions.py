"""Learned words: prompts encoded as diffusers does it, which files are read, and what is refused."""

import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from tests.checkpoints import klein, sdxl

CPU = torch.device("cpu")
WIDTH = 32
WORD = "<my-style>"


def vectors(count, width=WIDTH, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def write(path, tensors):
    save_file(tensors, path)
    return str(path)


def loaded(folder, *inversions):
    spec = ModelSpec(str(folder), textual_inversions=tuple(inversions))
    return load(locate(spec, offline=True), CPU, torch.float32)


def states(backbone, prompt):
    return backbone.encode_prompts([prompt]).embeds


@pytest.fixture(scope="module")
def plain(folder):
    return loaded(folder)


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    """A word of three vectors, as diffusers saves it."""
    return write(tmp_path_factory.mktemp("inversions") / "style.safetensors", {WORD: vectors(3)})


@pytest.fixture(scope="module")
def negative(style):
    """A word of one vector, as other programs save it: called as its file is."""
    path = style.replace("style", "easy_negative")
    return write(path, {"emb_params": vectors(1, seed=1)})


@pytest.fixture(scope="module")
def taught(folder, style, negative):
    return loaded(folder, (style, None), (negative, None))


@pytest.fixture(scope="module")
def theirs(folder, style, negative):
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.load_textual_inversion(style)
    pipeline.load_textual_inversion(negative, token="easy_negative")
    return pipeline


@pytest.mark.parametrize(
    "prompt",
    [
        WORD,
        f"a cat in {WORD}, snow",
        f"({WORD}) cat",
        f"{WORD}{WORD}",
        "a cat, easy_negative.",
        f"easy_negative {WORD}",
        "x " * 71 + f"{WORD}",
    ],
)
def test_prompts_are_encoded_as_diffusers_does_it(prompt, taught, theirs):
    expected, _ = theirs.encode_prompt(prompt, CPU, 1, do_classifier_free_guidance=False)
    torch.testing.assert_close(states(taught, prompt), expected, rtol=1e-5, atol=1e-5)


def test_a_word_counts_only_as_it_is_written(plain, taught):
    for prompt in ("a <My-style> cat", "uneasy_negative", "easy_negatives", "Easy_Negative", "a cat"):
        assert states(taught, prompt).equal(states(plain, prompt))
    assert not states(taught, f"a {WORD}").allclose(states(plain, f"a {WORD}"), atol=1e-2)


def test_all_vectors_count_where_a_prompt_is_cut_into_chunks(taught):
    assert states(taught, f"{'x ' * 72}{WORD}").shape[1] == 77
    assert states(taught, f"{'x ' * 73}{WORD}").shape[1] == 2 * 77


def test_of_words_that_begin_alike_the_longest_is_read(folder, style, negative):
    taught = loaded(folder, (style, "ink"), (negative, "ink-wash"))
    (chunk,) = taught.text_encoders[0].tokenizer.chunks("ink-wash, ink")
    assert [token for token in chunk.tokens if token > 513] == [517, 514, 515, 516]


def test_weights_apply_to_all_vectors_of_a_word(taught):
    (chunk,) = taught.text_encoders[0].tokenizer.chunks(f"a ({WORD}:1.5)")
    assert chunk.weights == (1, 1.5, 1.5, 1.5)


def test_the_model_s_own_words_and_files_stay(folder, plain, taught):
    own = plain.networks["text_encoder"].get_input_embeddings().weight
    assert taught.networks["text_encoder"].get_input_embeddings().weight[: len(own)].equal(own)
    assert len(taught.networks["text_encoder"].get_input_embeddings().weight) == len(own) + 4
    assert WORD not in (folder / "tokenizer" / "vocab.json").read_text()
    assert plain.assets.sha256 != taught.assets.sha256


@pytest.mark.parametrize(
    ("tensors", "token", "word"),
    [
        ({"<cat>": vectors(2)}, None, "<cat>"),
        ({"<cat>": vectors(2)}, "cat toy", "cat toy"),
        ({"<cat>": vectors(1)[0]}, None, "<cat>"),
        ({"emb_params": vectors(2).half()}, None, "my_file"),
        ({"clip_l": vectors(2)}, None, "my_file"),
    ],
)
def test_which_word_a_file_teaches(tensors, token, word, folder, tmp_path):
    path = write(tmp_path / "my_file.safetensors", tensors)
    backbone = loaded(folder, (path, token))
    (inversion,) = backbone.assets.textual_inversions
    assert inversion.token == word
    (chunk,) = backbone.text_encoders[0].tokenizer.chunks(word)
    (held,) = tensors.values()
    learned = backbone.networks["text_encoder"].get_input_embeddings()(torch.tensor(chunk.tokens))
    assert learned.equal(held.float().reshape(-1, WIDTH))


def test_a_folder_with_one_file_is_enough(folder, tmp_path):
    write(tmp_path / "learned_embeds.safetensors", {"<cat>": vectors(1)})
    write(tmp_path / "other.safetensors", {"<dog>": vectors(1)})
    (inversion,) = loaded(folder, (str(tmp_path), None)).assets.textual_inversions
    assert inversion.token == "<cat>"


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (
            {"<cat>": vectors(2, 48)},
            "made for another model: it has vectors of 48 numbers, .* text_encoder takes 32",
        ),
        (
            {"clip_l": vectors(2), "clip_g": vectors(2, 48)},
            "made for another model: it has .*clip_g.*sd15 .*clip_l",
        ),
        ({"clip_g": vectors(2)}, "made for another model"),
        ({"a": vectors(2), "b": vectors(2)}, "not a textual inversion: it holds a, b"),
        ({"unet.conv_in.weight": torch.zeros(2, 4, 3, 3)}, "not a textual inversion"),
        (
            {f"x.lora_{name}.weight": vectors(2) for name in ("up", "down")},
            "a LoRA, not a textual inversion; it belongs under model.loras",
        ),
        ({"<cat>": vectors(0)}, "not a textual inversion"),
        ({}, "not a textual inversion: it holds nothing"),
        ({"<cat>": vectors(2).to(torch.int8)}, "<cat> holds I8 numbers; get the file in F16"),
        ({"": vectors(2)}, r"no prompt can have its word, ''; give another, by model.*token"),
        ({" cat\n": vectors(2)}, r"no prompt can have its word, ' cat\\n'"),
        ({"\x1b[31mcat": vectors(2)}, "no prompt can have its word"),
        ({"c" * 101: vectors(2)}, "no prompt can have its word"),
    ],
)
def test_what_is_for_another_model_or_none_is_refused(tensors, words, folder, tmp_path):
    path = write(tmp_path / "bad.safetensors", tensors)
    with pytest.raises(AssetError, match=rf"bad\.safetensors: .*{words}"):
        locate(ModelSpec(str(folder), textual_inversions=((path, None),)), offline=True)


def test_two_of_one_word_are_refused(folder, style):
    with pytest.raises(AssetError, match=f"its word {WORD} is that of .*style.safetensors too"):
        loaded(folder, (style, None), (style, None))
    assert len(loaded(folder, (style, None), (style, "other")).assets.textual_inversions) == 2


def test_elsewhere_it_is_told_where_it_belongs(folder, style):
    belongs = "a textual inversion, not a {}; it belongs under model.textual_inversions"
    with pytest.raises(AssetError, match=belongs.format("LoRA")):
        locate(ModelSpec(str(folder), loras=((style, 1.0),)), offline=True)
    with pytest.raises(AssetError, match=belongs.format("checkpoint")):
        locate(ModelSpec(style, config=str(folder)), offline=True)


def test_pickles_are_never_opened(folder, tmp_path):
    (tmp_path / "cat.pt").write_bytes(b"anything")
    with pytest.raises(AssetError, match="pickled weights can run code and are never opened"):
        loaded(folder, (str(tmp_path / "cat.pt"), None))


def test_words_of_other_families_are_told(tmp_path):
    tensors = {"clip_l": torch.zeros(2, 32), "clip_g": torch.zeros(3, 64)}
    save_file(tensors, tmp_path / "word.safetensors")
    wanted = ((str(tmp_path / "word.safetensors"), None),)
    for maker, words in (
        (sdxl, r"damaged: not as many vectors for each text encoder \(clip_(l 2, clip_g 3|g 3, clip_l 2)\)"),
        (klein, "klein models take no textual inversions"),
    ):
        model = maker.make_folder(tmp_path / maker.__name__)
        with pytest.raises(AssetError, match=rf"word\.safetensors: {words}$") as told:
            locate(ModelSpec(str(model), textual_inversions=wanted), offline=True)
        assert told.value.parts == (("textual_inversions", 0),)
