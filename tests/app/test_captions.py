"""Captions: what a BLIP model says of a background picture, in place of its prompt."""

import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BertTokenizer, BlipForConditionalGeneration
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

import smd_cli as smd
from smd_cli.app.batch.jobs import Job
from smd_cli.app.captions import caption_jobs, captioned
from smd_cli.app.scenes import load_scene
from smd_cli.app.settings import RenderSettings
from smd_cli.engine.events import Noted, ignore_events
from smd_cli.errors import AssetError, DeviceError, SceneError
from smd_cli.models.captioner import BEAMS, Captioner, pixel_values
from smd_cli.models.captioner_files import LEAST_TOKENS, MOST_TOKENS, find_captioner
from smd_cli.scene.loader import load_data
from tests.checkpoints.blip import SIDE, make_folder
from tests.cli.program import no_weights, pixels
from tests.cli.program import smd as run

FEW = {"kind": "lcm", "indices": [0, 25]}


@pytest.fixture(scope="module")
def blip(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("blip") / "captioner")


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A picture whose left half is red and whose right half is noise."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(0, 256, (64, 96, 3), generator=generator, dtype=torch.uint8).numpy()
    image = Image.fromarray(noise)
    image.paste((200, 30, 30), (0, 0, 48, 64))
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    image.save(path)
    return path


def data(blip, photo, **more):
    background = {"prompt": "auto", "image": str(photo), "strength": 0.6}
    scene = {"smd": 1, "canvas": {"width": 96, "height": 64}, "background": background, "sampler": FEW}
    return {**scene, "model": {"base": "flatland", "captioner": str(blip)}, **more}


@pytest.fixture
def scene(blip, photo, tmp_path):
    path = tmp_path / "scene.yaml"
    path.write_text(json.dumps(data(blip, photo)))
    return str(path)


def expected(blip, picture):
    """What the library's own processor and model say."""
    processor = BlipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    values = processor(picture, return_tensors="pt")["pixel_values"]
    model = BlipForConditionalGeneration.from_pretrained(blip).eval()
    tokens = model.generate(
        pixel_values=values,
        num_beams=BEAMS,
        do_sample=False,
        min_new_tokens=LEAST_TOKENS,
        max_new_tokens=MOST_TOKENS,
    )
    tokenizer = BertTokenizer(str(blip / "vocab.txt"), additional_special_tokens=["[DEC]", "[ENC]"])
    return values, " ".join(tokenizer.decode(tokens[0], skip_special_tokens=True).split())


def test_captions_are_those_of_the_library(blip, photo):
    captioner = Captioner.load(find_captioner(str(blip), offline=True), torch.device("cpu"))
    whole = Image.open(photo).convert("RGB")
    said = set()
    for picture in (whole, whole.crop((0, 0, 48, 64)), Image.new("RGB", (50, 20), "blue")):
        values, caption = expected(blip, picture)
        assert torch.equal(pixel_values(picture, SIDE), values)
        assert captioner.caption(picture) == caption
        said.add(caption)
    assert len(said) == 3


def test_a_vocabulary_in_either_file_says_the_same(blip, photo, tmp_path):
    other = shutil.copytree(blip, tmp_path / "other")
    words = (other / "vocab.txt").read_text().split()
    (other / "vocab.txt").unlink()
    vocabulary = {word: number for number, word in enumerate(words)}
    (other / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordPiece", "vocab": vocabulary}}))
    found = [find_captioner(str(each), offline=True) for each in (blip, other)]
    assert found[0].vocabulary == found[1].vocabulary


def test_the_caption_is_told_and_stands_in_the_recipe(scene, blip, photo, tmp_path):
    _, caption = expected(blip, Image.open(photo).convert("RGB"))
    done = run("generate", scene, "-o", str(tmp_path / "a.png"), "--json")
    assert done.exit_code == 0, done.stderr
    notes = [note["text"] for note in json.loads(done.stdout)["notes"]]
    assert any(caption in note for note in notes)
    shown = run("inspect", str(tmp_path / "a.png"), "--json")
    recipe = json.loads(shown.stdout)["scene"]
    assert recipe["background"]["prompt"].replace("\\", "") == caption
    assert "captioner" not in recipe["model"]
    changed = f"background.image={photo}"
    again = run("generate", str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "-q", "--set", changed)
    assert (again.exit_code, again.stderr) == (0, "")
    assert (pixels(tmp_path / "a.png") == pixels(tmp_path / "b.png")).all()


def test_it_is_the_picture_of_a_scene_with_that_prompt(blip, photo):
    heard = []

    def told():
        return sum(isinstance(event, Noted) and "captioned" in event.text for event in heard)

    with smd.Renderer(listener=heard.append) as renderer:
        opened = load_scene(data(blip, photo))
        first = renderer.render(opened, seed=1)
        count = told()
        renderer.render(opened, seed=2)
        written = data(blip, photo)
        written["background"]["prompt"] = first.recipe.scene["background"]["prompt"]
        del written["model"]["captioner"]
        second = renderer.render(load_scene(written), seed=1)
        written["background"]["prompt"] = "another prompt"
        third = renderer.render(load_scene(written), seed=1)
    assert (count, told()) == (1, 1)
    assert first.recipe.sha256 == second.recipe.sha256
    assert first.pixels_sha256 == second.pixels_sha256 != third.pixels_sha256


def test_what_is_captioned_is_what_the_canvas_shows_of_the_picture(blip, photo):
    cropped = data(blip, photo, canvas={"width": 64, "height": 64})
    cropped["background"] = {"prompt": "auto", "image": str(photo), "place": [-40, 24]}
    cropped["regions"] = [{"name": "x", "prompt": "a tree", "mask": {"box": [0, 0, 0.5, 1]}}]
    opened = captioned(load_scene(cropped), RenderSettings(offline=True), ignore_events)
    _, caption = expected(blip, Image.open(photo).convert("RGB").crop((40, 0, 96, 40)))
    _, with_new_area = expected(blip, opened.images.background)
    assert caption != with_new_area
    assert opened.plan.background.prompt.text.replace("\\", "") == caption
    assert opened.plan.model.captioner is None


def test_check_plan_and_a_dry_run_tell_of_it_and_load_nothing(scene, blip, monkeypatch):
    no_weights(monkeypatch)
    monkeypatch.setattr("smd_cli.models.captioner.load_alone", None)
    checked, planned = (run(command, scene) for command in ("check", "plan"))
    dry = run("generate", scene, "--dry-run")
    for done in (checked, planned, dry):
        assert done.exit_code == 0, done.stderr
        assert (
            f"background.prompt: a caption of the picture, which {blip} makes before rendering" in done.stderr
        )
    assert f"model.captioner  {blip}: here" in checked.stdout
    assert "captioner" in planned.stdout
    needs = run("models", "needs", scene, "--json")
    roles = {each["role"]: each for each in json.loads(needs.stdout)["scenes"][0]["needs"]}
    assert (roles["captioner"]["present"], roles["captioner"]["missing_bytes"]) == (True, 0)


def test_jobs_of_a_scene_share_its_caption_once_its_model_is_found(blip, photo, monkeypatch):
    scene = load_scene(data(blip, photo))
    jobs = [Job(number, scene, number, f"{number}.png") for number in (1, 2)]
    first, second = caption_jobs(jobs, RenderSettings(offline=True), ignore_events)
    assert first.scene is second.scene
    assert first.scene.plan.model.captioner is None
    monkeypatch.setattr("smd_cli.models.captioner.load_alone", None)
    lost = load_scene(data(blip, photo, model={"base": "owner/none", "captioner": str(blip)}))
    with pytest.raises(AssetError, match="owner/none: neither a path here"):
        caption_jobs([Job(1, lost, 1, "1.png")], RenderSettings(offline=True), ignore_events)


def test_a_lock_holds_the_caption(scene, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    locked = run("lock", scene, "--inputs-only", "-q")
    assert locked.exit_code == 0, locked.stderr
    assert '"prompt":"auto"' not in (tmp_path / "smd.lock").read_text().replace(" ", "")
    done = run("generate", scene, "--locked", "-o", str(tmp_path / "a.png"), "-q")
    assert done.exit_code == 0, done.stderr
    skipped = run("generate", scene, "--skip-existing", "-o", str(tmp_path / "a.png"), "-q", "--json")
    assert len(json.loads(skipped.stdout)["skipped"]) == 1
    dry = run("generate", scene, "--dry-run", "-o", str(tmp_path / "a.png"))
    assert (dry.exit_code, "is a caption, which a dry run does not make" in dry.stderr) == (2, True)


REFUSED = {
    "no picture": (
        ["background"],
        {"prompt": "auto"},
        "auto is a caption of background.image: give",
    ),
    "a region": (
        ["regions"],
        [{"name": "x", "prompt": "auto", "mask": "rest"}],
        "regions[0].prompt: auto stands for a caption in the background's prompt alone",
    ),
    "a keyframe": (
        ["stream"],
        {"timeline": [{"at": 3, "background": {"prompt": "auto"}}]},
        "stream.timeline[0].background.prompt: auto stands for a caption",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_auto_is_refused_elsewhere(case, blip, photo, tmp_path):
    (key,), value, words = REFUSED[case]
    with pytest.raises(SceneError) as refused:
        load_data(data(blip, photo, **{key: value}), base_dir=tmp_path)
    assert words in str(refused.value)
    assert len(refused.value.problems) == 1


def broken(blip, folder, **changes):
    shutil.copytree(blip, folder)
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_what_is_no_captioner_is_told_before_weights_load(blip, photo, tmp_path, monkeypatch):
    no_weights(monkeypatch)
    pickled = broken(blip, tmp_path / "pickled")
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (wordless := broken(blip, tmp_path / "wordless")).joinpath("vocab.txt").unlink()
    cases = {
        "flatland": "no captioner",
        str(tmp_path / "nowhere"): "no such model",
        str(broken(blip, tmp_path / "other", model_type="clip")): "describes clip, no captioner",
        str(broken(blip, tmp_path / "odd", text_config={"hidden_size": 33})): "does not divide hidden_size",
        str(pickled): "pickled weights can run code",
        str(wordless): "lacks a vocabulary",
    }
    for reference, words in cases.items():
        opened = load_scene(data(blip, photo, model={"captioner": reference}), base_dir=tmp_path)
        with pytest.raises(AssetError) as refused:
            captioned(opened, RenderSettings(offline=True), ignore_events)
        (line,) = refused.value.problems
        assert words in line, line
        assert line.place.key == "model.captioner"


def test_a_lack_of_memory_is_none_of_the_captioner(blip, photo, tmp_path):
    """Attention between so many patches takes a terabyte."""
    side, patch = 2048, 4
    huge = broken(blip, tmp_path / "huge", vision_config={"image_size": side, "patch_size": patch})
    weights = load_file(huge / "model.safetensors")
    embeddings = "vision_model.embeddings."
    weights[f"{embeddings}position_embedding"] = torch.zeros(1, (side // patch) ** 2 + 1, 32)
    weights[f"{embeddings}patch_embedding.weight"] = torch.zeros(32, 3, patch, patch)
    save_file(weights, huge / "model.safetensors", {"format": "pt"})
    opened = load_scene(data(huge, photo), base_dir=tmp_path)
    with pytest.raises(DeviceError, match="out of memory"):
        captioned(opened, RenderSettings(device="cpu", offline=True), ignore_events)


def test_check_tells_that_a_captioner_is_none(scene, blip, tmp_path):
    other = broken(blip, tmp_path / "other", model_type="clip")
    checked = run("check", scene, "--set", f"model.captioner={other}", "--json")
    (problem,) = json.loads(checked.stdout)["problems"]
    assert checked.exit_code == 4
    assert (problem["option"], "describes clip" in problem["text"]) == (
        f"--set model.captioner={other}",
        True,
    )


def test_weights_that_do_not_fit_are_told(blip, photo, tmp_path):
    folder = broken(blip, tmp_path / "cut")
    weights = load_file(folder / "model.safetensors")
    weights.pop("vision_model.post_layernorm.weight")
    save_file(weights, folder / "model.safetensors")
    opened = load_scene(data(blip, photo, model={"captioner": str(folder)}))
    with pytest.raises(AssetError, match="lacks 1 of the model's tensors"):
        captioned(opened, RenderSettings(offline=True), ignore_events)


def test_a_stream_has_the_caption_from_its_first_frame_on(blip, photo, tmp_path):
    scene = data(blip, photo, stream={"frames": 2}, task="stream")
    with smd.Renderer() as renderer:
        stream = renderer.stream(load_scene(scene))
        prompt = stream.recipe.scene["background"]["prompt"]
        frames = list(stream)
    _, caption = expected(blip, Image.open(photo).convert("RGB"))
    assert (prompt.replace("\\", ""), len(frames)) == (caption, 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vocab.txt", ""),
        ("vocab.txt", "a\n" + "x" * 200_000),
        ("vocab.txt", "a\n\x1b[31m\n"),
        ("tokenizer.json", json.dumps({"model": {"vocab": {}}})),
        ("tokenizer.json", json.dumps({"model": {"vocab": {"a": 0, "b": -1}}})),
        ("tokenizer.json", json.dumps({"model": {"vocab": {"a": 0, "b": 2**70}}})),
        ("tokenizer.json", '{"model": {"vocab": {"\\ud800": 0}}}'),
    ],
    ids=["empty", "long", "control", "none", "below 0", "huge", "half a character"],
)
def test_a_vocabulary_that_holds_no_words_is_told_before_weights_load(
    name, text, blip, photo, tmp_path, monkeypatch
):
    no_weights(monkeypatch)
    damaged = shutil.copytree(blip, tmp_path / "blip")
    (damaged / name).write_text(text, encoding="utf-8")
    path = tmp_path / "scene.yaml"
    path.write_text(json.dumps(data(damaged, photo)))
    for command in ("check", "generate"):
        ended = run(command, str(path))
        assert ended.exit_code == 4, ended.stderr
        (problem,) = [line for line in ended.stderr.splitlines() if not line.startswith("note: ")]
        assert problem.startswith(f"{path}:1:")
        assert f"model.captioner: {damaged / name}: " in problem
        assert len(problem) < 500


def test_a_captioner_that_says_nothing_is_told_at_its_place(blip, photo, tmp_path):
    silent = shutil.copytree(blip, tmp_path / "blip")
    (silent / "vocab.txt").write_text("[UNK]\n[PAD]\n")
    path = tmp_path / "scene.yaml"
    path.write_text(json.dumps(data(silent, photo)))
    ended = run("generate", str(path), "-o", str(tmp_path / "o.png"))
    assert ended.exit_code == 4
    assert ended.stderr.splitlines()[-1].startswith(f"{path}:1:")
    assert "model.captioner: " in ended.stderr


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_captioner_that_computes_no_numbers_is_told(number, blip, photo, tmp_path):
    broken = shutil.copytree(blip, tmp_path / "blip")
    weights = load_file(broken / "model.safetensors")
    name = next(name for name in weights if name.endswith("layers.0.mlp.fc1.weight"))
    save_file({**weights, name: torch.full_like(weights[name], number)}, broken / "model.safetensors")
    path = tmp_path / "scene.yaml"
    path.write_text(json.dumps(data(broken, photo)))
    ended = run("generate", str(path), "-o", str(tmp_path / "o.png"))
    assert ended.exit_code == 4
    assert "makes NaN or infinity" in ended.stderr.splitlines()[-1]
    assert not (tmp_path / "o.png").exists()
