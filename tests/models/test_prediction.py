"""What a checkpoint predicts, by every file that may say so, and what becomes of it."""

import json
from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import load_file, save_file

from smd_cli.errors import AssetError
from smd_cli.models.assets import ModelSpec, locate
from smd_cli.models.loading import load
from smd_cli.models.prediction import MAX_YAML
from tests.cli.program import smd
from tests.models.conftest import edit_json

UNET = "unet/diffusion_pytorch_model.safetensors"
CONFIG = "scheduler/scheduler_config.json"
V_YAML = """\
model:
  target: ldm.models.diffusion.ddpm.LatentDiffusion
  params:
    linear_start: 0.00085
    parameterization: "v"
    image_size: 96 # of latents
    unet_config: &unet
      target: ldm.modules.diffusionmodules.openaimodel.UNetModel
"""


@pytest.fixture
def file(single_file, copy, tmp_path) -> Path:
    """The small model as one file, beside its configs, which say nothing of predictions."""
    config = json.loads((copy / CONFIG).read_text())
    del config["prediction_type"]
    (copy / CONFIG).write_text(json.dumps(config))
    path = tmp_path / "my.style.safetensors"
    path.write_bytes(single_file.read_bytes())
    return path


def facts(path: Path, config: Path | None = None):
    folder = config or (path.parent / "model" if path.is_file() else None)
    return locate(ModelSpec(str(path), config=str(folder) if folder else None), offline=True).facts


def mark(path: Path, *tensors: str, **metadata: str) -> None:
    empty = {name: torch.empty(0) for name in tensors}
    save_file(
        {**load_file(path), **empty}, path, {name.replace("__", "."): text for name, text in metadata.items()}
    )


def test_where_nothing_tells_it_is_epsilon(file, caplog):
    assert (facts(file).prediction_type, facts(file).prediction_source) == (
        "epsilon",
        "assumed, no file says",
    )
    assert not facts(file).zero_terminal_snr
    assert not caplog.records


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
def test_an_inference_config_beside_the_file(file, suffix):
    beside = file.with_suffix(suffix)
    beside.write_text(V_YAML)
    assert (facts(file).prediction_type, facts(file).prediction_source) == ("v_prediction", str(beside))
    beside.write_text(V_YAML.replace('"v"', "eps"))
    assert (facts(file).prediction_type, facts(file).prediction_source) == ("epsilon", str(beside))
    beside.write_text(V_YAML.replace('"v"', "x0"))
    with pytest.raises(AssetError, match=rf"my\.style\{suffix}: prediction type 'x0' is not supported"):
        facts(file)


@pytest.mark.parametrize(
    "text",
    [
        "smd: 1\nmodel: my.style.safetensors\n",
        "",
        "- model\n",
        "model: {params: [v]}\n",
        V_YAML.replace("ization", ""),
    ],
)
def test_other_yaml_says_nothing(file, text, caplog):
    file.with_suffix(".yaml").write_text(text)
    assert facts(file).prediction_source == "assumed, no file says"
    assert not caplog.records


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 5000,
        b"model: {params",
        b"\xff\xfe\x00",
        b"#" * (MAX_YAML + 1) + b"\n" + V_YAML.encode(),
        b"a: !!python/object/apply:os.system [exit]\nmodel: *a\n",
    ],
    ids=["deep", "cut", "no text", "large", "no anchor"],
)
def test_hostile_yaml_is_left_with_a_warning(file, data, caplog):
    file.with_suffix(".yaml").write_bytes(data)
    assert facts(file).prediction_type == "epsilon"
    (warning,) = {record.message for record in caplog.records}
    assert warning.startswith(
        f"{file.with_suffix('.yaml')}: not read as the config of my.style.safetensors ("
    )


def test_merge_keys_that_multiply_take_no_time_and_tags_run_nothing(file):
    lines = [
        "l0: &l0 {x: 1}",
        *(f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 30)),
    ]
    tag = "t: !!python/object/apply:sys.exit [7]"
    file.with_suffix(".yaml").write_text("\n".join([*lines, tag, V_YAML]))
    assert facts(file).prediction_type == "v_prediction"


@pytest.mark.parametrize(
    ("said", "source"),
    [
        ({"modelspec__prediction_type": "v"}, "modelspec.prediction_type"),
        ({"modelspec__prediction_type": "V_Prediction"}, "modelspec.prediction_type"),
        ({"ss_v_parameterization": "True"}, "ss_v_parameterization"),
        ({}, "tensor v_pred"),
    ],
)
def test_the_file_itself_says_it(file, said, source):
    mark(file, *([] if said else ["v_pred"]), **said)
    assert (facts(file).prediction_type, facts(file).prediction_source) == (
        "v_prediction",
        f"{file} ({source})",
    )


def test_a_header_may_say_what_is_not_supported(file):
    mark(file, modelspec__prediction_type="sample")
    with pytest.raises(
        AssetError, match=r"modelspec\.prediction_type\): prediction type 'sample' is not supp"
    ):
        facts(file)


@pytest.mark.parametrize(("beside", "expected"), [("eps", "epsilon"), ("v", "v_prediction")])
def test_what_lies_beside_the_file_counts_before_the_file_and_that_before_its_config(
    file, beside, expected, caplog
):
    mark(file, modelspec__prediction_type="v")
    edit_json(file.parent / "model" / CONFIG, prediction_type="epsilon")
    assert facts(file).prediction_type == "v_prediction"
    assert f"{file} (modelspec.prediction_type) says that the model predicts v_prediction, but" in caplog.text
    caplog.clear()
    file.with_suffix(".yaml").write_text(V_YAML.replace('"v"', beside))
    assert facts(file).prediction_type == expected
    (warning,) = {record.message for record in caplog.records}
    assert warning.startswith(f"{file.with_suffix('.yaml')} says that the model predicts {expected}, but")
    assert warning.endswith("; the first one counts")


@pytest.mark.parametrize("how", ["tensor", "metadata", "config"])
def test_zero_terminal_snr_reaches_the_schedule(file, how):
    config = file.parent / "model"
    mark(
        file,
        "v_pred",
        *["ztsnr"] * (how == "tensor"),
        **({"ss_zero_terminal_snr": "True"} if how == "metadata" else {}),
    )
    if how == "config":
        edit_json(config / CONFIG, rescale_betas_zero_snr=True)
    assets = locate(ModelSpec(str(file), config=str(config)), offline=True)
    assert assets.facts.zero_terminal_snr
    ours = load(assets, torch.device("cpu"), torch.float32).schedules.training
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    expected = DDIMScheduler(**betas, rescale_betas_zero_snr=True).alphas_cumprod
    assert torch.equal(ours.alphas_cumprod, expected)
    assert ours.alphas_cumprod[-1] == 0
    assert ours.prediction == "v_prediction"


SCENE = """\
smd: 1
canvas: {width: 64, height: 64}
model: {base: model, lcm_lora: none}
background: {prompt: a}
"""


@pytest.fixture
def scene(copy, tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENE)
    return "s.yaml"


NOISE_ALONE = {
    "lcm": "{indices: [0, 25]}",
    "a grid with it": "{steps: 4}",
    "ddim": "{kind: ddim, steps: 500}",
    "tcd": "{kind: tcd}",
    "euler": "{kind: euler}",
    "dpmpp": "{kind: dpmpp}",
    "karras": "{kind: dpmpp, spacing: karras}",
}


@pytest.mark.parametrize("command", ["generate", "plan"])
@pytest.mark.parametrize("sampler", NOISE_ALONE.values(), ids=NOISE_ALONE)
def test_noise_cannot_be_predicted_where_nothing_else_is_left(scene, copy, sampler, command, tmp_path):
    edit_json(copy / CONFIG, rescale_betas_zero_snr=True)
    (copy / UNET).write_bytes((copy / UNET).read_bytes().replace(b"conv_in", b"conv_xx"))  # would not load
    done = smd(command, scene, "--set", f"sampler={sampler}", "--offline")
    assert done.exit_code == 4
    (line,) = done.stderr.splitlines()
    assert f"{CONFIG}: only noise is left at timestep 999 (rescale_betas_zero_snr)" in line
    assert "v_prediction" in line
    assert "sampler.indices" in line
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize("sampler", ["{indices: [4, 25]}", "{kind: ddim, steps: 2}"])
def test_timesteps_that_leave_some_of_the_picture_can_be_taken(scene, copy, sampler):
    edit_json(copy / CONFIG, rescale_betas_zero_snr=True)
    done = smd("generate", scene, "--set", f"sampler={sampler}", "--offline")
    assert done.exit_code == 0, done.stderr


def test_v_can_be_predicted_from_noise_alone(scene, copy):
    edit_json(copy / CONFIG, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    assert smd("generate", scene, "--set", "sampler={indices: [0, 25]}", "--offline").exit_code == 0


FROM_NOISE = ["{indices: [0, 25]}", *(f"{{kind: {kind}, steps: 2}}" for kind in ("tcd", "euler", "dpmpp"))]


@pytest.mark.parametrize("sampler", [*FROM_NOISE, "{kind: ddim, steps: 2, spacing: trailing}"])
def test_all_samplers_start_from_noise_alone(scene, copy, sampler):
    edit_json(copy / CONFIG, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    done = smd("generate", scene, "--set", f"sampler={sampler}", "--offline", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["warnings"] == []


def test_a_model_of_zero_terminal_snr_that_starts_with_something_left_is_warned_of(scene, copy):
    edit_json(copy / CONFIG, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    sampler = "sampler={kind: ddim, steps: 2}"
    for command in (("generate", "--offline"), ("check",)):
        done = smd(*command, scene, "--set", sampler, "--json")
        assert done.exit_code == 0, done.stderr
        (told,) = json.loads(done.stdout)["warnings"]
        assert "begin at timestep 501; set sampler.spacing to trailing" in told["text"], command


@pytest.mark.parametrize(
    "betas", [{"beta_end": 3.0}, {"beta_start": 2.0}, {"beta_end": float("nan")}, {"beta_schedule": "sine"}]
)
def test_noise_levels_that_are_none(scene, copy, betas):
    edit_json(copy / CONFIG, **betas)
    done = smd("generate", scene, "--offline")
    assert done.exit_code == 4, done.stderr
    assert f"{CONFIG}: " in done.stderr
    assert next(iter(betas)) in done.stderr


def test_an_autoencoder_s_scale_is_a_positive_number(scene, copy):
    for value in (0.0, float("nan"), float("inf"), -1.0):
        edit_json(copy / "vae/config.json", scaling_factor=value)
        done = smd("generate", scene, "--offline")
        assert done.exit_code == 4, done.stderr
        assert "scaling_factor" in done.stderr


def test_the_plan_shows_what_is_predicted_and_who_says_so(scene, file):
    file.with_suffix(".yaml").write_text(V_YAML)
    mark(file, "ztsnr")
    arguments = ("plan", scene, "--set", f"model={{base: {file.name}, config: model, lcm_lora: none}}")
    said = str(file.with_suffix(".yaml"))
    shown = smd(*arguments)
    assert "predicts  v_prediction, zero terminal SNR  my.style.yaml\n" in shown.stdout
    document = json.loads(smd(*arguments, "--json").stdout)
    assert document["prediction"] == {"type": "v_prediction", "zero_terminal_snr": True, "source": said}
