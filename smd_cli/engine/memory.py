"""How much memory a render takes, estimated from the configs and headers of a model's files.

Factors, here and of families and autoencoders, were fitted to measured peaks. docs/results.md compares
estimates with peaks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import torch

from smd_cli.core.guidance import Guidance
from smd_cli.engine.autoencoder import TILE, whole_pixels
from smd_cli.engine.device import Placement
from smd_cli.engine.layout import Layout
from smd_cli.engine.tile_size import tile_side
from smd_cli.models.assets import Assets
from smd_cli.models.components import component_dtype
from smd_cli.models.configs import read_config
from smd_cli.models.quantization import quantized_bytes
from smd_cli.models.thrifty import AUTOENCODER, DENOISER, ENCODERS, has_own_memory, purpose_of
from smd_cli.models.vae import autoencoder_of
from smd_cli.models.weights import own_names, read_shapes, stored_bytes
from smd_cli.placement import PLACEMENTS
from smd_cli.scene.resolve import Plan

PROGRAM = 440 * 2**20  # bytes of the libraries themselves, on the CPU
CANVAS_MAPS = 12  # latents, accumulators and noise, of the size of the canvas, float32
FREE_SHARE = 0.9  # of the free memory, that a model may take where the placement is left to choose


@dataclass(frozen=True)
class NetworkSize:
    """The bytes of one network: where it computes, in its files, and of its largest layer."""

    purpose: str
    held: int
    stored: int
    layer: int


def network_sizes(assets: Assets, placement: Placement) -> tuple[NetworkSize, ...]:
    """Return the sizes of a model's networks, in the order in which they are loaded."""
    return tuple(_network_size(assets, name, placement) for name in assets.components)


def model_peak(networks: Sequence[NetworkSize], placement: Placement, rows: int, decoding: int) -> int:
    """Return the most bytes that networks and their work take at a time.

    `rows` are the bytes of the evaluations that run at once, `decoding` those of decoding a picture.
    """
    of = {
        purpose: [each for each in networks if each.purpose == purpose]
        for purpose in (ENCODERS, DENOISER, AUTOENCODER)
    }
    encoders, denoiser, autoencoder = (sum(each.held for each in of[purpose]) for purpose in of)
    working = max(rows, decoding)
    if not has_own_memory(placement.device):
        if placement.memory == "high":
            return max(encoders + denoiser + autoencoder + working, _reading(networks))
        coming = max(_reading(of[ENCODERS]), _reading(of[DENOISER]), denoiser + working)
        return max(autoencoder + coming, _reading(of[AUTOENCODER]))
    if placement.memory == "high":
        return encoders + denoiser + autoencoder + working
    if placement.memory == "medium":
        return max(encoders, denoiser + rows, autoencoder + decoding)
    layers = 2 * max(each.layer for each in networks)  # one computes while the next one comes
    return max(layers + rows, autoencoder + decoding)


def row_bytes(layout: Layout, assets: Assets, dtype: torch.dtype) -> int:
    """Return the bytes of one model evaluation beyond the weights."""
    box = layout.regions.tiling.boxes[0]
    view = (box.bottom - box.top) * (box.right - box.left)
    return _row_bytes(assets, view, layout.regions.most_in_a_view, dtype)


def estimate(
    layout: Layout,
    assets: Assets,
    placement: Placement,
    batch: int,
    networks: Sequence[NetworkSize] | None = None,
) -> int:
    """Return the bytes that a render is expected to hold at its peak, on its device.

    `networks` are the model's, by default those of its files.
    """
    networks = network_sizes(assets, placement) if networks is None else networks
    latents = prod(layout.shape[-2:])
    pixels = latents * assets.facts.downscale**2
    canvas = 4 * CANVAS_MAPS * prod(layout.shape) + 4 * layout.regions.masks.numel()
    planes = 4 * (2 * layout.soft_pixels + 6 * pixels)  # masks while they are blurred; pictures
    rows = batch * layout.guidance.rows_per_view(0) * row_bytes(layout, assets, placement.dtype)
    decoding = _decoder_bytes(pixels, assets, placement)
    model = model_peak(networks, placement, rows, decoding) + _local_loras(assets, placement)
    return int((0 if has_own_memory(placement.device) else PROGRAM) + canvas + planes + model)


def _local_loras(assets: Assets, placement: Placement) -> int:
    """Return the bytes of what lies beside layers for single regions."""
    shapes = (shape for path in assets.local_loras.values() for shape in read_shapes(path).values())
    return sum(map(prod, shapes)) * placement.dtype.itemsize


def fitting_memory(
    plan: Plan, assets: Assets, placement: Placement, free: int, networks: Sequence[NetworkSize] | None = None
) -> str:
    """Return the placement of most memory whose model, evaluating one view, fits the `free` bytes.

    What the canvas takes is little beside that. A coupled view is taken to have all regions. The last one is
    the answer where none fits. `networks` are as for `estimate`.
    """
    tile = tile_side(plan, assets.facts)
    canvas = (plan.canvas.height, plan.canvas.width)
    view = prod(min(tile, side) // assets.facts.downscale for side in canvas)
    sampler = plan.sampler
    at_once = Guidance(sampler.guidance, sampler.guidance_scale, sampler.delta).rows_per_view(0)
    prompts = 1 if plan.coupled_from is None else len(plan.regions) + 1
    rows = at_once * _row_bytes(assets, view, prompts, placement.dtype)
    networks = network_sizes(assets, placement) if networks is None else networks
    for memory in reversed(PLACEMENTS):
        there = replace(placement, memory=memory)
        needed = model_peak(networks, there, rows, _decoder_bytes(prod(canvas), assets, there))
        if needed <= FREE_SHARE * free:
            return memory
    return PLACEMENTS[0]


def _row_bytes(assets: Assets, view: int, prompts: int, dtype: torch.dtype) -> int:
    """Return the bytes of evaluating one view of so many latent pixels under so many prompts."""
    family = assets.family
    denoiser = read_config(assets.components[family.denoiser].config)
    return family.evaluation_elements(denoiser, view, prompts) * dtype.itemsize


def _decoder_bytes(pixels: int, assets: Assets, placement: Placement) -> int:
    """Return the bytes of decoding, of the whole picture or of one tile."""
    family = assets.family
    folder = assets.components[family.autoencoder].config
    config = read_config(folder)
    autoencoder = autoencoder_of(config, family.autoencoders, folder)
    at_once = pixels if pixels <= whole_pixels(placement.memory) else TILE**2
    return autoencoder.decoder_elements(config, at_once) * (
        component_dtype(assets, family.autoencoder, placement.dtype).itemsize
    )


def _network_size(assets: Assets, component: str, placement: Placement) -> NetworkSize:
    files, prefix = assets.components[component], assets.family.components[component].prefix
    shapes: dict[str, tuple[int, ...]] = {}
    stored = 0
    for path in files.weights:
        of_file = read_shapes(path)
        names = own_names(of_file, prefix)
        shapes |= {name: of_file[name] for name in names}
        stored += stored_bytes(path, names)
    return network_size(assets, component, shapes, stored, placement)


def network_size(
    assets: Assets, component: str, shapes: Mapping[str, tuple[int, ...]], stored: int, placement: Placement
) -> NetworkSize:
    """Return the size of a network by the shapes of its tensors, of which files hold so many bytes."""
    purpose = purpose_of(assets.family, component)
    small = quantized_bytes(shapes) if placement.weights != "full" and purpose != AUTOENCODER else {}
    size = component_dtype(assets, component, placement.dtype).itemsize
    held = [small.get(name, prod(shape) * size) for name, shape in shapes.items()]
    return NetworkSize(purpose, sum(held), stored, max(held))


def _reading(networks: Sequence[NetworkSize]) -> int:
    """Return the most bytes while networks are read in turn: files are mapped beside the copies."""
    most = held = 0
    for network in networks:
        held += network.held
        most = max(most, held + network.stored)
    return most
