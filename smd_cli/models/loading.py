"""Located assets to a `Backbone`. The family's libraries are imported when a model is loaded."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

import torch

from smd_cli.digests import Stamp, stamp_of
from smd_cli.errors import AssetError
from smd_cli.models.assets import Assets
from smd_cli.models.backbone import Backbone
from smd_cli.models.components import Destination, Load, Network, load_component, load_networks
from smd_cli.models.learned_words import learn_words
from smd_cli.models.local_loras import LocalLoraBackbone, lay_beside
from smd_cli.models.lora import fuse_loras, read_lora
from smd_cli.models.network_class import NetworkClass
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.quantization import check_weights, quantize
from smd_cli.models.spec import LOCAL_LORAS, asked_for
from smd_cli.models.thrifty import AUTOENCODER, ThriftyBackbone, elsewhere, purpose_of, settle
from smd_cli.models.weights import own_names, read_shapes

_LOADING = Lock()  # networks are built on torch's meta device by patching torch, for all threads alike


Reached = Callable[[int, int], None]
"""Told how many parts of how many have been read: the tensors of the networks, and LoRAs as one each."""


def load(
    assets: Assets,
    device: torch.device,
    dtype: torch.dtype,
    reached: Reached = lambda done, total: None,
    *,
    memory: str = "high",
    weights: str = "full",
    load_network: Load | None = None,
) -> Backbone:
    """Read the weights into a backbone of the assets' family.

    `memory` is one of `smd_cli.placement.PLACEMENTS`, `weights` of its `WEIGHTS`. On a CPU, `low` and
    `medium` read most weights when they are used; until then all but their numbers is looked at.
    `load_network` loads each network, by default from its files.

    Raises:
        AssetError: the weights do not fit their configs, or a LoRA does not fit the weights.
        DeviceError: a library is missing for `low`, or for weights in 8 bits.
    """
    done, total = 0, _parts(assets)

    def arrived(more: int) -> None:
        nonlocal done
        done += more
        reached(done, total)

    check_weights(weights, device)
    there = elsewhere(assets, device, memory, weights)
    to = Destination(device, dtype, arrived, there, weights, load=load_network)
    with _LOADING, asked_for(assets.base.reference, "base"):
        _silence_libraries()
        backbone = assets.family.load(assets, to)
    backbone = LocalLoraBackbone(backbone) if assets.local_loras else backbone
    if memory != "high":
        return _thrifty(backbone, to, memory)
    for name in there:
        to.networks[name].to(device)
    return backbone


def _thrifty(backbone: Backbone, to: Destination, memory: str) -> ThriftyBackbone:
    """Lay a backbone whose networks are here only while they are used around one that has been loaded."""
    assets = backbone.assets
    stamps = {path: stamp_of(path) for path in _files(assets)}
    again = replace(to, arrived=lambda more: None, elsewhere={}, networks={})
    read = partial(_read_again, assets, again, stamps)
    return ThriftyBackbone(backbone, settle(assets.family, to, memory, read), memory)


def load_alone(network: NetworkClass, files: ComponentFiles, device: torch.device) -> Network:
    """Read a network that is no component of a model, in float32.

    Raises AssetError: the weights do not fit its config.
    """
    with _LOADING:
        _silence_libraries()
        return load_component(network, files, "", Destination(device, torch.float32, lambda more: None))


def load_fused(
    assets: Assets, to: Destination, names: Collection[str] | None = None
) -> Mapping[str, Network]:
    """Read a model's networks, by the names of its family's components, and its LoRAs into or beside them.

    `names` are those of some networks that have been read before; None: all.

    Raises AssetError: the weights do not fill what the configs describe, or a LoRA does not fit them.
    """
    # convolutions run faster on pixels that lie together, but for Apple's
    memory = torch.preserve_format if to.device.type == "mps" else torch.channels_last
    networks = {
        name: each.to(memory_format=memory) for name, each in load_networks(assets, to, names).items()
    }
    if (autoencoder := networks.get(assets.family.autoencoder)) is not None:
        # on CPUs, PyTorch's group norms lose in that order what little varies in flat pictures, such as white
        autoencoder.encoder.to(memory_format=torch.contiguous_format)
    _add_loras(assets, networks, to, is_whole=names is None)
    if to.weights != "full":
        _quantize(assets, networks, to)
    to.networks.update(networks)
    return networks


def _add_loras(assets: Assets, networks: Mapping[str, Network], to: Destination, *, is_whole: bool) -> None:
    """Fuse LoRAs into networks, and lay those of single regions beside their layers."""
    read = partial(read_lora, networks=networks, family=assets.family, is_whole=is_whole)
    fused, local = [], []
    for index, (path, strength) in enumerate(assets.loras):
        with asked_for(path, *assets.spec.lora_part(index)):
            fused.append((read(path), strength))
        to.arrived(1)
    for reference, path in assets.local_loras.items():
        with asked_for(path, LOCAL_LORAS, reference):
            local.append(read(path))
        to.arrived(1)
    lay_beside(local)  # first, as changes of the weights that they were made for
    fuse_loras(fused)


def check_loading(assets: Assets) -> None:
    """Load a model onto a device that holds no numbers: all but these is looked at, and no weight is read.

    Raises AssetError: as `load`.
    """
    load(assets, torch.device("meta"), torch.float32)


def _read_again(
    assets: Assets, to: Destination, stamps: Mapping[Path, Stamp], names: Collection[str]
) -> Mapping[str, Network]:
    """Read some networks with all that is added to them. Raises AssetError: a file has changed since."""
    with _LOADING, asked_for(assets.base.reference, "base"):
        networks = load_fused(assets, to, names)
        for name in names:
            if assets.family.components[name].inversion:
                learn_words(networks[name], name, assets.textual_inversions)
        for path, stamp in stamps.items():
            if stamp_of(path) != stamp:
                raise AssetError(f"{path}: has changed since the model was loaded; start again")
    return networks


def _quantize(assets: Assets, networks: Mapping[str, Network], to: Destination) -> None:
    """Keep the large layers of networks in 8 bits; LoRAs are in them already. What holds no numbers stays."""
    for name, network in networks.items():
        if purpose_of(assets.family, name) != AUTOENCODER and to.of(name).device.type != "meta":
            quantize(network, to.weights)


def _files(assets: Assets) -> list[Path]:
    """List the files that hold numbers of a model."""
    loras = [*(path for path, _ in assets.loras), *assets.local_loras.values()]
    return [*assets.weights, *loras, *(each.path for each in assets.textual_inversions)]


def _parts(assets: Assets) -> int:
    """Count what is read."""
    tensors = (
        len(own_names(read_shapes(path), assets.family.components[name].prefix))
        for name, files in assets.components.items()
        for path in files.weights
    )
    return sum(tensors) + len(assets.loras) + len(assets.local_loras)


def _silence_libraries() -> None:
    """Keep the libraries' progress bars and advice off the terminal; failures still raise."""
    from diffusers.utils import logging as diffusers_log
    from transformers.utils import logging as transformers_log

    for log in (diffusers_log, transformers_log):
        log.set_verbosity_error()
        log.disable_progress_bar()
