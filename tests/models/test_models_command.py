"""`smd models`: what is here, what it is, and fetching and removing it, against a hub on this machine."""

import json
import os
import shutil
from hashlib import sha256

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.checkpoints.blip import make_folder
from tests.cli.program import smd
from tests.models.hub import CONFIGS, TEXT, UNET, VAE

LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


@pytest.fixture
def lora(tmp_path):
    folder = tmp_path / "lora"
    folder.mkdir()
    factors = {"lora_down.weight": torch.zeros(4, 768), "lora_up.weight": torch.zeros(320, 4)}
    save_file({f"{LAYER}.{name}": tensor for name, tensor in factors.items()}, folder / "ink.safetensors")
    return folder


@pytest.fixture
def scene(tmp_path):
    def write(background=None, **model):
        path = tmp_path / "scene.yaml"
        path.write_text(
            json.dumps(
                {
                    "smd": 1,
                    "canvas": {"width": 64, "height": 64},
                    "model": model,
                    "background": background or {"prompt": "x"},
                }
            )
        )
        return str(path)

    return write


def cached(hub, name):
    return hub.home / "hub" / f"models--{name.replace('/', '--')}"


def models(ran):
    assert ran.code == 0, ran.err
    return {each["reference"]: each for each in json.loads(ran.out)["models"]}


@pytest.mark.slow
def test_a_scene_is_pulled_whole_and_no_more(hub, folder, styles, lora, scene):
    for name, where in (("model", folder), ("styles", styles), ("lora", lora)):
        hub.add(f"owner/{name}", where)
    (styles / "my_style_v2.yaml").write_text("model: {params: {parameterization: v}}\n")
    path = scene(
        base="owner/styles", config="owner/model", loras=[{"path": "owner/lora"}], lcm_lora="owner/lora"
    )
    (before,) = hub.smd(["models", "needs", path, "--json"])
    wanted = {each["role"]: each for each in json.loads(before.out)["scenes"][0]["needs"]}
    assert (before.code, [*wanted]) == (4, ["base", "lora", "config"])
    assert hub.fetched() == []
    sizes = [styles / "my_style_v2.safetensors", styles / "my_style_v2.yaml", lora / "ink.safetensors"]
    assert wanted["base"]["missing_bytes"] == sum(each.stat().st_size for each in sizes[:2])
    assert wanted["lora"]["missing_bytes"] == sizes[2].stat().st_size
    pulled, after = hub.smd(["models", "pull", path], ["models", "needs", path, "--json"])
    fetched = ["ink.safetensors", *CONFIGS, "my_style_v2.safetensors", "my_style_v2.yaml"]
    assert (pulled.code, hub.fetched()) == (0, sorted(fetched))
    commits = {name: repository.find("main")[0] for name, repository in hub.repositories.items()}
    assert pulled.out.split() == [
        f"owner/{each}@{commits[f'owner/{each}']}" for each in ("styles", "lora", "model")
    ]
    assert after.code == 0
    assert {each["missing_bytes"] for each in json.loads(after.out)["scenes"][0]["needs"]} == {0}
    hub.is_down = True
    (again,) = hub.smd(["models", "pull", path, "--offline"], network=False)
    assert (again.code, again.out, hub.requests) == (0, pulled.out, [])


def test_what_a_scene_has_from_elsewhere_is_not_pulled_of_its_model(hub, folder, tmp_path, scene):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "red").save(photo)
    background = {"prompt": "auto", "image": str(photo), "strength": 0.5}
    for name, where in (("model", folder), ("other", folder), ("blip", make_folder(tmp_path / "blip"))):
        hub.add(f"owner/{name}", where)
    model = {"base": "owner/model", "vae": "owner/other", "captioner": "owner/blip", "lcm_lora": "none"}
    path = scene(background, **model)
    before, pulled, found, after = hub.smd(
        ["models", "needs", path, "--json"],
        ["models", "pull", path],
        ["models", "list", "--json"],
        ["models", "needs", path, "-q"],
    )
    needs = {each["role"]: each["missing_bytes"] for each in json.loads(before.out)["scenes"][0]["needs"]}
    fetched = {
        "base": [folder / name for name in (*CONFIGS, UNET, TEXT)],
        "vae": [folder / "vae/config.json", folder / VAE],
        "captioner": [tmp_path / "blip" / name for name in ("config.json", "model.safetensors", "vocab.txt")],
    }
    assert (pulled.code, after.code) == (0, 0), (pulled.err, after.err)
    assert hub.fetched() == sorted(
        [*CONFIGS, UNET, TEXT, "vae/config.json", VAE, "config.json", "model.safetensors", "vocab.txt"]
    )
    assert needs == {role: sum(path.stat().st_size for path in paths) for role, paths in fetched.items()}
    assert (models(found)["owner/blip"]["kind"], models(found)["owner/blip"]["whole"]) == ("captioner", True)


def test_a_model_is_pulled_at_its_commit(hub, folder, copy, make):
    (copy / "scheduler/scheduler_config.json").write_text(
        (folder / "scheduler/scheduler_config.json").read_text()
    )
    make.edit_json(copy / "model_index.json", note="then")
    repository = hub.add("owner/model", folder)
    repository.revisions["v1"] = copy
    then, _ = repository.find("v1")
    ran = hub.smd(
        ["models", "pull", "owner/model", "--revision", "v1"],
        ["models", "pull", "owner/model@v1"],
        ["models", "pull", "owner/model@v1", "--revision", "v2"],
        ["models", "pull", "flatland"],
    )
    assert [each.code for each in ran] == [0, 0, 4, 0]
    assert ran[0].out == ran[1].out == f"owner/model@{then}\n"
    assert "names a revision already" in ran[2].err
    assert ran[3].out == "flatland\n"
    assert hub.fetched() == sorted([*CONFIGS, UNET, VAE, TEXT])


def test_what_cannot_be_pulled_is_one_line_each(hub, folder, copy, make, tmp_path):
    make.edit_json(copy / "unet/config.json", in_channels=9)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "config.json").write_text('{"model_type": "resnet"}')
    save_file({"x": torch.zeros(1)}, pictures / "model.safetensors")
    hub.add("owner/inpaint", copy)
    hub.add("owner/gated", folder, gated=True)
    hub.add("owner/resnet", pictures)
    hub.add("owner/large", folder)
    lines = {
        "owner/none": "neither a path here nor a model on Hugging Face (a private one needs HF_TOKEN)",
        "owner/gated": f"accept its terms at {hub.endpoint}/owner/gated and set HF_TOKEN",
        "owner/inpaint": "inpainting checkpoint",
        "owner/resnet": "nothing that a scene can name",
    }
    for (name, text), ran in zip(
        lines.items(), hub.smd(*(["models", "pull", each] for each in lines)), strict=True
    ):
        assert (ran.code, ran.out, text in ran.err.splitlines()[-1]) == (4, "", True), (name, ran.err)
    hub.fetched()
    hub.claims = {UNET: 9 * 10**14}
    (large,) = hub.smd(["models", "pull", "owner/large", "-q"])
    assert (large.code, hub.fetched(), len(large.err.splitlines())) == (4, [], 1)
    assert "owner/large: takes 900 TB, and the disk of " in large.err
    hub.endpoint = "http://127.0.0.1:9"
    (gone,) = hub.smd(["models", "pull", "owner/model"])
    assert (gone.code, "the hub cannot be reached" in gone.err) == (4, True)


def test_a_download_goes_on_where_it_was_cut_off(hub, styles, folder):
    hub.add("owner/styles", styles)
    content = (styles / "my_style_v2.safetensors").read_bytes()
    digest = sha256(content).hexdigest()
    half = cached(hub, "owner/styles") / "blobs" / f"{digest}.incomplete"
    half.parent.mkdir(parents=True)
    half.write_bytes(content[:50_000])
    (found,) = hub.smd(["models", "list", "--json"])
    assert models(found)["owner/styles"]["half_bytes"] == 50_000
    hub.add("stable-diffusion-v1-5/stable-diffusion-v1-5", folder)
    (ran,) = hub.smd(["models", "pull", "owner/styles"])
    assert (ran.code, hub.ranges) == (0, ["bytes=50000-"])
    assert (half.parent / digest).read_bytes() == content
    assert not half.exists()


def test_a_half_of_another_file_is_found_out_and_removed(hub, styles, folder):
    hub.add("owner/styles", styles)
    hub.add("stable-diffusion-v1-5/stable-diffusion-v1-5", folder)
    digest = sha256((styles / "my_style_v2.safetensors").read_bytes()).hexdigest()
    half = cached(hub, "owner/styles") / "blobs" / f"{digest}.incomplete"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"x" * 50_000)
    first, second = hub.smd(*[["models", "pull", "owner/styles"]] * 2)
    assert (first.code, "is damaged, and removed; fetch it again" in first.err) == (4, True)
    assert second.code == 0


def test_the_list_tells_kinds_apart(hub, folder, styles, lora, tmp_path):
    word = tmp_path / "word"
    word.mkdir()
    save_file({"emb_params": torch.zeros(2, 32)}, word / "learned_embeds.safetensors")
    for name, where in (
        ("model", folder),
        ("styles", styles),
        ("lora", lora),
        ("vae", folder / "vae"),
        ("word", word),
    ):
        hub.add(f"owner/{name}", where)
    hub.add("stable-diffusion-v1-5/stable-diffusion-v1-5", folder)
    names = ["model", "styles", "lora", "vae", "word"]
    hub.smd(*(["models", "pull", f"owner/{name}"] for name in names))
    hub.requests.clear()
    shown, found = hub.smd(["models", "list"], ["models", "list", "--json"], network=False)
    kinds = {name: (each["kind"], each["family"], each["whole"]) for name, each in models(found).items()}
    assert kinds == {
        "flatland": ("model", "sd15", True),
        "owner/lora": ("lora", "sd15", True),
        "owner/model": ("model", "sd15", True),
        "owner/styles": ("model", "sd15", True),
        "owner/vae": ("vae", None, True),
        "owner/word": ("textual_inversion", None, True),
        "stable-diffusion-v1-5/stable-diffusion-v1-5": ("configs", "sd15", True),
    }
    commit, _ = hub.repositories["owner/lora"].find("main")
    assert models(found)["owner/lora"]["revisions"][0]["commit"] == commit
    assert models(found)["owner/lora"]["size_bytes"] == (lora / "ink.safetensors").stat().st_size
    line = next(line.split() for line in shown.out.splitlines() if "owner/lora" in line)
    assert line[:5] == ["owner/lora", "LoRA", "sd15", line[3], "kB"]
    assert line[5:7] == [commit[:7], "main"]


def test_odd_things_in_the_cache_never_end_the_list(hub, folder, tmp_path):
    hub.add("owner/model", folder)
    hub.smd(["models", "pull", "owner/model"])
    cache = hub.home / "hub"
    (cache / "models--a--file").write_text("a file")
    (cache / "models--a--link").symlink_to(tmp_path / "nowhere")
    (cache / "models--a--empty").mkdir()
    (cache / "models--").mkdir()
    (cache / "other").mkdir()
    (cache / os.fsdecode(b"models--a--\xff\xfe")).mkdir()
    for name, harm in (("ref", "refs/main"), ("bytes", "refs/v1"), ("blob", ""), ("snapshot", "")):
        odd = shutil.copytree(cached(hub, "owner/model"), cache / f"models--a--{name}", symlinks=True)
        if harm:
            (odd / harm).write_bytes(b"0" * 40 if name == "ref" else b"\xff\xfe")
        elif name == "blob":
            next((odd / "snapshots").rglob("*.safetensors")).resolve().unlink()
        else:
            (odd / "snapshots" / "elsewhere").symlink_to(tmp_path / "nowhere")
    before, found, shown, removed, file_removed = hub.smd(
        ["models", "list", "--json"],
        ["models", "list", "--json"],
        ["models", "list"],
        ["models", "rm", "a/blob", "--yes"],
        ["models", "rm", "a/file", "--yes"],
        network=False,
    )
    assert models(found)["owner/model"]["whole"]
    for name in ("file", "link", "empty", "ref", "bytes", "blob", "snapshot", "\udcff\udcfe"):
        assert models(found)[f"a/{name}"]["problem"], name
    assert "Blob missing" in models(found)["a/blob"]["problem"]
    assert str(cache) in models(found)["a/blob"]["problem"]
    assert (shown.code, removed.code, (cache / "models--a--blob").exists()) == (0, 0, False)
    assert (file_removed.code, (cache / "models--a--file").exists()) == (0, False)
    assert before.out == found.out


@pytest.mark.parametrize("held", ["", "0" * 39, "../../../elsewhere", "a" * 500])
def test_a_branch_that_names_no_commit_is_told_with_its_file(held, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--owner--model"
    for folder in ("refs", "snapshots", "blobs"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs/main").write_text(held)
    ended = smd("models", "info", "owner/model", "--offline")
    assert ended.exit_code == 4
    assert ended.stderr.count("\n") == 1
    assert "models--owner--model/refs/main holds no commit" in ended.stderr


def test_what_another_repository_has_of_the_same_commit_stays(monkeypatch, tmp_path):
    """Copies and forks share commits."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for owner in ("one", "two", "three"):
        snapshot = tmp_path / f"models--{owner}--model/snapshots" / ("a" * 40)
        snapshot.mkdir(parents=True)
        blob = snapshot.parents[1] / "blobs" / sha256(b"{}").hexdigest()
        blob.parent.mkdir()
        blob.write_text("{}")
        (snapshot / "config.json").symlink_to(blob)
    for reference in ("two/model", f"three/model@{'a' * 40}"):
        ended = smd("models", "rm", reference, "--yes")
        assert ended.exit_code == 0, ended.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["models--one--model"]
    assert (tmp_path / "models--one--model/snapshots" / ("a" * 40) / "config.json").exists()


def test_a_revision_is_removed_and_what_others_need_stays(hub, folder, copy, make, tmp_path):
    make.edit_json(copy / "model_index.json", note="then")
    repository = hub.add("owner/model", folder)
    repository.revisions["v1"] = copy
    commit, _ = repository.find("v1")
    hub.smd(["models", "pull", "owner/model"], ["models", "pull", "owner/model@v1"])
    size = (copy / "model_index.json").stat().st_size
    asked, dry, wrong, gone, again = hub.smd(
        ["models", "rm", f"owner/model@{commit[:8]}"],
        ["models", "rm", "owner/model@v1", "--dry-run", "--json"],
        ["models", "rm", "owner/model@v2", "--yes"],
        ["models", "rm", "owner/model@v1", "--yes"],
        ["models", "list", "--json"],
        network=False,
    )
    assert (asked.code, "confirm it by --yes" in asked.err) == (2, True)
    assert json.loads(dry.out)["freed_bytes"] == size
    assert (wrong.code, "no such revisions in the cache" in wrong.err) == (4, True)
    assert gone.out == f"removed: owner/model ({commit[:7]}), {size} bytes\n"
    assert models(again)["owner/model"]["whole"]
    elsewhere = shutil.move(cached(hub, "owner/model"), tmp_path / "elsewhere")
    cached(hub, "owner/model").symlink_to(elsewhere)
    linked, own, ours = hub.smd(
        ["models", "rm", "owner/model", "--yes"],
        ["models", "rm", str(folder), "--yes"],
        ["models", "rm", "flatland", "--yes"],
    )
    assert (linked.code, own.code, ours.code) == (4, 4, 4)
    assert "is a link out of the cache" in linked.err
    assert (elsewhere / "snapshots").is_dir()
    assert (folder / "model_index.json").exists()
    cached(hub, "owner/model").unlink()
    shutil.move(elsewhere, cached(hub, "owner/model"))
    (whole,) = hub.smd(["models", "rm", "owner/model", "--yes"])
    assert (whole.code, cached(hub, "owner/model").exists()) == (0, False)


def test_a_file_outside_that_a_snapshot_links_to_stays(hub, folder, copy, make, tmp_path):
    make.edit_json(copy / "model_index.json", note="then")
    repository = hub.add("owner/model", folder)
    repository.revisions["v1"] = copy
    commit, _ = repository.find("v1")
    hub.smd(["models", "pull", "owner/model"], ["models", "pull", "owner/model@v1"])
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (cached(hub, "owner/model") / "snapshots" / commit / "mine.txt").symlink_to(mine)
    (ran,) = hub.smd(["models", "rm", "owner/model@v1", "--yes"])
    assert (ran.code, "leads out of the cache" in ran.err, mine.exists()) == (4, True, True)


def test_info_tells_what_things_are(hub, folder, single_file, lora, tmp_path, make):
    hub.add("owner/model", folder, card={"license": "mit"})
    text = tmp_path / "notes.safetensors"
    text.write_text("not weights")
    asked = [str(folder), str(single_file), str(lora / "ink.safetensors"), str(folder / "vae"), "owner/model"]
    ran = hub.smd(*(["models", "info", each, "--json"] for each in [*asked, str(text)]))
    model, file, adapter, vae, remote, none = (json.loads(each.out) for each in ran)
    assert {each.code for each in ran} == {0}
    facts = {"native_size": 128, "size_multiple": 8, "latent_channels": 4, "downscale": 8, "few_step": False}
    assert model | facts == model
    assert (model["kind"], model["family"], model["here"], model["negative_prompt"]) == (
        "model",
        "sd15",
        True,
        True,
    )
    assert model["prediction"]["type"] == "epsilon"
    assert "ddim" in model["samplers"]
    parts = {each["name"]: each for each in model["parts"]}
    assert [*parts] == ["unet", "vae", "text_encoder"]
    assert parts["unet"] == {
        "name": "unet",
        "network": "UNet2DConditionModel",
        "files": 1,
        "size": (folder / UNET).stat().st_size,
        "numbers": sum(parameter.numel() for parameter in make.unet().parameters()),
        "dtypes": ["F32"],
    }
    in_file = {each["name"]: each["numbers"] for each in file["parts"]}
    assert (file["kind"], in_file["unet"], in_file["vae"]) == (
        "model",
        parts["unet"]["numbers"],
        parts["vae"]["numbers"],
    )
    assert "stable-diffusion-v1-5" in file["problem"]
    assert (adapter["kind"], adapter["family"]) == ("lora", "sd15")
    assert adapter["details"] == {"adapter": "LoRA", "rank": "4", "changes": "unet (1 layers)"}
    assert (vae["kind"], vae["details"]) == ("vae", {"latent channels": 4})
    assert (remote["licence"], remote["here"], remote["parts"][0]["numbers"]) == ("mit", False, None)
    assert remote["size_bytes"] == model["size_bytes"]
    assert hub.fetched() == CONFIGS
    assert (none["kind"], "not a safetensors file" in none["problem"]) == ("other", True)


def test_what_a_model_of_the_hub_recommends_is_fetched_before_a_run_is_planned(hub, copy, scene):
    """Checks never ask the hub; later they know what is in the cache."""
    (copy / "smd_defaults.yaml").write_text("smd: 1\nsampler: {kind: euler, steps: 2}\n")
    hub.add("owner/model", copy)
    path = scene(base="owner/model")
    guided = ["--set", "sampler.guidance=self", "--set", "sampler.guidance_scale=2"]
    (before,) = hub.smd(["check", path, *guided], network=False)
    assert before.code == 0, before.err
    (run,) = hub.smd(["generate", path, *guided])
    assert (run.code, hub.fetched()) == (3, sorted([*CONFIGS, "smd_defaults.yaml"]))
    assert "self needs the lcm or tcd sampler; euler goes with none and full" in run.err.replace("\n", " ")
    check, info = hub.smd(
        ["check", path, *guided], ["models", "info", "owner/model", "--json", "--offline"], network=False
    )
    assert (check.code, check.err) == (3, run.err)
    assert json.loads(info.out)["recommended"] == {"sampler.kind": "euler", "sampler.steps": 2}
