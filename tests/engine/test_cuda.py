"""On a CUDA device: the pictures of the CPU, and the training's stages."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from smd_cli.cli.app import app
from smd_cli.workshop.train import __main__ as training
from smd_cli.workshop.train.config import Budget, Config
from tests.workshop.parts import WEIGHTS_FOLDER

SCENES = Path(__file__).parents[2] / "scenes"

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here"),
]


def painted(tmp_path: Path, scene: str, device: str, dtype: str) -> np.ndarray:
    output = tmp_path / f"{device}-{dtype}.png"
    arguments = ["generate", str(SCENES / scene), "--seed", "3", "--output", str(output)]
    result = CliRunner().invoke(app, [*arguments, "--device", device, "--dtype", dtype])
    assert result.exit_code == 0, result.output
    return np.asarray(Image.open(output)).astype(int)


@pytest.mark.parametrize(("dtype", "levels"), [("float32", 1.0), ("float16", 4.0)])
def test_a_seed_paints_the_same_picture_on_cuda_as_on_the_cpu(tmp_path, dtype, levels):
    """Noise is drawn on the CPU, whatever computes; what is left is rounding."""
    here = painted(tmp_path, "corner.yaml", "cpu", "float32")
    there = painted(tmp_path, "corner.yaml", "cuda", dtype)
    assert here.std() > 20
    assert abs(here - there).mean() < levels


@pytest.mark.filterwarnings("ignore")
def test_the_stages_that_go_on_from_a_base_run_on_cuda(tmp_path):
    tiny = Budget(2, 2, 1e-3)
    stages = ("decoder", "unet_large", "distill", "fold")
    logged = {stage.replace("_", "-") for stage in stages}
    config = dataclasses.replace(
        Config(),
        folder=tmp_path,
        base=WEIGHTS_FOLDER,
        device="cuda",
        pool=8,
        large_pictures=8,
        paths=8,
        **dict.fromkeys(stages, tiny),
    )
    folder = training.run(config)
    assert (folder / "lcm_lora" / "pytorch_lora_weights.safetensors").exists()
    assert {path.parent.name for path in tmp_path.glob("*/log.jsonl")} == logged
