"""Speed and memory of an architecture with random weights: the real networks, without their files."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from smd_cli.app.model_fit import check_fit
from smd_cli.app.models import asked_placement, placement_of
from smd_cli.app.scenes import OpenedScene, load_scene
from smd_cli.app.settings import RenderSettings
from smd_cli.bench.architectures import ARCHITECTURES, Architecture
from smd_cli.bench.report import ArchRow, ArchSpeed
from smd_cli.bench.speed import machine
from smd_cli.core.noise import SeededNoise
from smd_cli.engine.device import (
    Placement,
    enough_memory,
    peak_memory_bytes,
    reset_peak_memory,
)
from smd_cli.engine.events import Advanced, Clock, Event
from smd_cli.engine.layers import CanvasImages
from smd_cli.engine.layout import make_layout
from smd_cli.engine.memory import NetworkSize, estimate, network_size
from smd_cli.engine.prepare import PreparedScene, prepare
from smd_cli.engine.render import decode_image, denoise
from smd_cli.models import families
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.components import Destination, Network, build_network
from smd_cli.models.conditioning import Conditioning
from smd_cli.models.facts import ModelFacts, read_facts
from smd_cli.models.loading import load
from smd_cli.models.local_loras import LoraWeights
from smd_cli.models.network_class import NetworkClass
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.sources import open_files
from smd_cli.models.spec import ModelSpec
from smd_cli.models.thrifty import ENCODERS, purpose_of

STD = 0.02  # of random weights
BLOCK = 2**20  # numbers, drawn once and repeated: drawing billions would take minutes
MOST_TENSORS = 10**5  # of a network


@dataclass(frozen=True)
class RandomNetworks:
    """Loads networks of random weights; those whose configs lie in folders that are `skipped` stay empty."""

    skipped: frozenset[Path]

    def __call__(self, network: NetworkClass, files: ComponentFiles, prefix: str, to: Destination) -> Network:
        """Build a network and fill it where it is to compute."""
        model = build_network(network, files, MOST_TENSORS)
        if files.config in self.skipped or to.device.type == "meta":
            return model.eval()
        block = torch.empty(BLOCK).normal_(std=STD, generator=torch.Generator().manual_seed(0))
        block = block.to(to.device, to.dtype)
        weights = {name: _random(each, block, to) for name, each in model.state_dict().items()}
        model.load_state_dict(weights, assign=True)
        return model.to(to.device).eval().requires_grad_(requires_grad=False)


def _random(like: Tensor, block: Tensor, to: Destination) -> Tensor:
    """Make a tensor of a network: small numbers; of a norm's one dimension, those that change nothing."""
    if not like.is_meta:
        return like
    filled = torch.empty(like.shape, dtype=to.dtype, device=to.device)
    if like.ndim == 1:
        return filled.fill_(1)
    flat = filled.view(-1)
    for start in range(0, len(flat), BLOCK):
        part = flat[start : start + BLOCK]
        part.copy_(block[: len(part)])
    return filled


@dataclass(frozen=True)
class RandomPrompts:
    """Encodes prompts as random numbers of an architecture's shape, and no pictures."""

    architecture: Architecture
    facts: ModelFacts
    device: torch.device
    dtype: torch.dtype

    def encode_prompts(self, prompts: list[str], loras: LoraWeights = ()) -> Conditioning:
        """Make N rows."""
        made, rows = self.architecture, len(prompts)
        embeds = torch.randn(rows, made.tokens, made.width, generator=torch.Generator().manual_seed(1))
        pooled = torch.randn(rows, made.pooled, generator=torch.Generator().manual_seed(2))
        embeds, pooled = (each.to(self.device, self.dtype) for each in (embeds, pooled))
        return Conditioning(embeds, pooled if made.pooled else None)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Refuse, as no scene here has a picture."""
        raise NotImplementedError


def measure_architecture(
    name: str,
    sizes: Sequence[tuple[int, int]],
    steps: int,
    settings: RenderSettings,
    advance: Callable[[], None] = lambda: None,
) -> ArchSpeed:
    """Render a picture of each size (width, height) in px by an architecture, an entry of `ARCHITECTURES`.

    `advance` is called after each step.

    Raises:
        DeviceError: the device is not there, or its memory is not enough.
        SceneError: a size does not suit the architecture.
    """
    made = ARCHITECTURES[name]
    with TemporaryDirectory() as folder:
        assets = random_assets(made, Path(folder))
        scenes = [_scene(name, size, steps) for size in sizes]
        for scene in scenes:
            check_fit(scene, assets)
        placement, networks = _placed(assets, scenes, settings)
        with enough_memory(placement.device):
            model = _Model(made, assets, _load(assets, placement), placement, networks)
            rows = [_measure(model, scene, settings, advance) for scene in scenes]
    there = {"memory": placement.memory, "weights": placement.weights, "published": made.published}
    return ArchSpeed({**machine(placement.device, placement.dtype), **there}, tuple(rows))


def random_assets(made: Architecture, folder: Path) -> Assets:
    """Write the configs of an architecture into a folder, and describe it as a model without weights."""
    made.write(folder)
    family = families.family(made.name)
    facts = read_facts(folder, folder / family.autoencoder, family)
    components = {
        name: ComponentFiles(folder / name, ()) for name in family.components if name in made.configs
    }
    spec = ModelSpec(str(folder), family=made.name)
    return Assets(spec, open_files(str(folder), offline=True), folder, facts, components)


@dataclass(frozen=True)
class _Model:
    """A loaded architecture."""

    made: Architecture
    assets: Assets
    backbone: Backbone
    placement: Placement
    networks: Sequence[NetworkSize]


def _scene(name: str, size: tuple[int, int], steps: int) -> OpenedScene:
    """Open a scene of one prompt."""
    width, height = size
    return load_scene(
        {
            "smd": 1,
            "canvas": {"width": width, "height": height},
            "model": {"base": name},
            "sampler": {"kind": "euler", "steps": steps},
            "bootstrap": {"steps": 0},
            "background": {"prompt": name},
        }
    )


def _placed(
    assets: Assets, scenes: Sequence[OpenedScene], settings: RenderSettings
) -> tuple[Placement, tuple[NetworkSize, ...]]:
    """Choose where and how to compute all the scenes; return the networks' sizes too. Raises DeviceError."""
    asked = asked_placement(assets, settings)
    networks = _network_sizes(assets, asked)
    largest = max((scene.plan for scene in scenes), key=lambda plan: prod(plan.size))
    return placement_of(largest, assets, asked, networks), networks


def _network_sizes(assets: Assets, placement: Placement) -> tuple[NetworkSize, ...]:
    """Return the sizes of the networks that are made."""
    sizes = []
    for name, files in assets.components.items():
        if purpose_of(assets.family, name) != ENCODERS:
            network = build_network(assets.family.network(name, files.config), files, MOST_TENSORS)
            shapes = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
            sizes.append(network_size(assets, name, shapes, 0, placement))
    return tuple(sizes)


def _load(assets: Assets, placement: Placement) -> Backbone:
    """Load a model of random weights."""
    encoders = {
        files.config
        for name, files in assets.components.items()
        if purpose_of(assets.family, name) == ENCODERS
    }
    fill = RandomNetworks(frozenset(encoders))
    memory, weights = placement.memory, placement.weights
    return load(assets, placement.device, placement.dtype, memory=memory, weights=weights, load_network=fill)


def _measure(
    model: _Model, scene: OpenedScene, settings: RenderSettings, advance: Callable[[], None]
) -> ArchRow:
    """Render a picture, and tell what that took."""
    placement, plan = model.placement, scene.plan
    has_reset = reset_peak_memory(placement.device)
    prompts = RandomPrompts(model.made, model.assets.facts, placement.device, placement.dtype)
    prepared = prepare(plan, CanvasImages(()), model.backbone, encoder=prompts, batch=settings.batch)
    moments = [time.perf_counter()]

    def listen(event: Event) -> None:
        if isinstance(event, Advanced):
            moments.append(time.perf_counter())
            advance()

    latents = denoise(prepared, SeededNoise(plan.seed), Clock(listen))
    began = time.perf_counter()
    decode_image(prepared, latents)
    seconds = [after - before for before, after in pairwise(moments)]
    later = seconds[1:] or seconds  # the first one also chooses kernels and reserves memory
    evaluations = prepared.work.model_evaluations
    return ArchRow(
        architecture=model.made.name,
        size=plan.size,
        tiles=len(prepared.regions.tiling.boxes),
        batch=_at_once(prepared),
        steps=len(seconds),
        evaluations=evaluations,
        seconds_a_step=median(later),
        evaluations_a_second=evaluations / len(seconds) / median(later),
        decode_seconds=time.perf_counter() - began,
        peak_bytes=peak_memory_bytes(placement.device),
        estimated_bytes=_estimate(model, scene, _at_once(prepared)),
        is_peak_of_its_own=has_reset,
    )


def _at_once(scene: PreparedScene) -> int:
    """Return how many views are evaluated at once."""
    return min(scene.method.batch, max(len(views) for views in scene.regions.views))


def _estimate(model: _Model, scene: OpenedScene, batch: int) -> int:
    facts, backbone = model.assets.facts, model.backbone
    layout = make_layout(scene.plan, CanvasImages(()), facts, backbone.schedules)
    return estimate(layout, model.assets, model.placement, batch, model.networks)
