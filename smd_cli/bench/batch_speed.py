"""Times whole programs that render a batch: this one, a shell loop of it, and a script with diffusers.

Each is what a user would start, from its first import to the last picture on the disk. Imports torch.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, cast

import torch

from smd_cli.app.model_spec import at_model, find_model
from smd_cli.app.models import choose_place
from smd_cli.app.scenes import OpenedScene
from smd_cli.app.settings import RenderSettings
from smd_cli.bench.report import BatchRow, BatchSpeed
from smd_cli.bench.speed import machine
from smd_cli.engine.device import enough_memory
from smd_cli.errors import SmdError, UsageError
from smd_cli.models.backbone import dtype_name
from smd_cli.models.configs import SCHEDULER_CONFIG, read_json
from smd_cli.models.facts import NOISE
from smd_cli.models.loading import load
from smd_cli.models.unet import UNetModel

PROGRAMS = 3
SCRIPT = Path(__file__).with_name("diffusers_script.py")


@dataclass(frozen=True)
class _Program:
    """A program, and the model evaluations that its run tells."""

    name: str
    run: Callable[[Path], int]


def measure_batch(
    scene: OpenedScene,
    settings: RenderSettings,
    *,
    jobs: int,
    rounds: int,
    advance: Callable[[], None] = lambda: None,
) -> BatchSpeed:
    """Measure the programs in turns on a scene of one prompt, which lies in a file; each begins anew.

    Raises:
        AssetError, DeviceError: the model, the device or its memory is not there.
        UsageError: the pipeline cannot drive the model.
        SmdError: a program failed.
    """
    device, dtype = choose_place(settings)
    with _pipeline_folder(scene, settings) as model:
        options = [
            "--model",
            scene.plan.model.base.source,
            "--device",
            str(device),
            "--dtype",
            dtype_name(dtype),
            "--batch",
            str(settings.batch),
        ]
        path = Path(scene.locate().source)
        steps, side = len(scene.plan.sampler.indices), scene.plan.canvas.width
        given = [str(jobs), str(steps), str(side), str(device), dtype_name(dtype)]
        programs = (
            _Program("this program", lambda folder: _render(path, folder, jobs, options)),
            _Program("loop of generate", lambda folder: _loop(path, folder, jobs, options)),
            _Program("diffusers script", lambda folder: _script(scene, model, folder, given)),
        )
        seconds, evaluations = _race(programs, rounds, advance)
    rows = tuple(
        BatchRow(program.name, tuple(spent), jobs, count, median(spent) / median(seconds[0]))
        for program, spent, count in zip(programs, seconds, evaluations, strict=True)
    )
    return BatchSpeed(machine(device, dtype), rows)


def _race(
    programs: Sequence[_Program], rounds: int, advance: Callable[[], None]
) -> tuple[list[list[float]], list[int]]:
    """Return each program's seconds of every round, and its evaluations."""
    seconds: list[list[float]] = [[] for _ in programs]
    evaluations = [0 for _ in programs]
    for _ in range(rounds):
        for index, program in enumerate(programs):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                evaluations[index] = program.run(Path(folder))
                seconds[index].append(time.perf_counter() - began)
            advance()
    return seconds, evaluations


def _render(path: Path, folder: Path, jobs: int, options: Sequence[str]) -> int:
    told = _run("render", str(path), "--seed", f"0-{jobs - 1}", *options, "--output-dir", str(folder))
    return int(told["work"]["model_evaluations"])


def _loop(path: Path, folder: Path, jobs: int, options: Sequence[str]) -> int:
    told = (
        _run("generate", str(path), "--seed", str(seed), *options, "--output-dir", str(folder))
        for seed in range(jobs)
    )
    return sum(int(each["work"]["model_evaluations"]) for each in told)


def _run(*arguments: str) -> dict[str, Any]:
    """Run this program as a process; return its document."""
    output = _output([sys.executable, "-m", "smd_cli", *arguments, "--json", "-q"])
    return cast(dict[str, Any], json.loads(output))


def _script(scene: OpenedScene, model: Path, folder: Path, given: Sequence[str]) -> int:
    (folder / "prompt.txt").write_text(scene.plan.to_dict()["background"]["prompt"], encoding="utf-8")
    return int(_output([sys.executable, str(SCRIPT), str(model), str(folder), *given]).split()[-1])


def _output(command: Sequence[str]) -> str:
    """Run a program; return its standard output. Raises SmdError: it failed."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and programs
        command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SmdError(f"{' '.join(command[1:4])}: ended with exit code {done.returncode}: {last}")
    return done.stdout


@contextmanager
def _pipeline_folder(scene: OpenedScene, settings: RenderSettings) -> Iterator[Path]:
    """Give a folder with the scene's model as diffusers' pipeline, its LoRAs fused, as users keep theirs."""
    device, dtype = torch.device("cpu"), choose_place(settings)[1]
    with at_model(scene):
        assets = find_model(scene.plan, offline=settings.offline)
    if assets.facts.family != "sd15":
        raise UsageError(f"--model: diffusers' script drives sd15 models, not {assets.facts.family}")
    with enough_memory(device):
        backbone = cast(UNetModel, load(assets, device, dtype))
    with tempfile.TemporaryDirectory() as folder:
        _save_pipeline(backbone, folder)
        yield Path(folder)


def _save_pipeline(backbone: UNetModel, folder: str) -> None:
    """Save a model as diffusers' pipeline, whose few-step sampler is this program's default one."""
    # Once a model is loaded, the libraries are quiet about what they lack.
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from diffusers.schedulers.scheduling_lcm import LCMScheduler
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    configs = backbone.assets.configs
    path = configs / SCHEDULER_CONFIG
    noise = NOISE.reduce(read_json(path), path)
    StableDiffusionPipeline(
        backbone.autoencoder.network,
        backbone.networks["text_encoder"],
        CLIPTokenizer.from_pretrained(configs / "tokenizer"),
        backbone.networks["unet"],
        LCMScheduler(**noise, prediction_type=backbone.facts.prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
