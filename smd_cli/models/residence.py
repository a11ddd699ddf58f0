"""Networks that are where they compute only while they are used, for models larger than a device's memory.

A model is asked for one thing after the other: prompts, predictions, pictures. The networks of each come when
they are asked for, and those of the others leave before that. The numbers are the same wherever they were.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from threading import RLock
from typing import Protocol

import torch
from torch import Tensor, nn

from smd_cli.errors import DeviceError

Networks = Mapping[str, nn.Module]
Read = Callable[[Sequence[str]], Networks]
"""Reads networks from their files again, by the names of their components."""


class Guest(Protocol):
    """Networks that come and leave together."""

    def come(self) -> None:
        """Bring them to where they compute."""

    def leave(self) -> None:
        """Take them away."""


@dataclass(frozen=True)
class Moved:
    """Networks that lie in the CPU's memory meanwhile."""

    networks: Sequence[nn.Module]
    device: torch.device

    def come(self) -> None:
        """Copy them to the device."""
        for network in self.networks:
            network.to(self.device)

    def leave(self) -> None:
        """Copy them back."""
        for network in self.networks:
            network.to("cpu")


@dataclass(frozen=True)
class Reread:
    """Networks of a CPU that are read from their files again: meanwhile they lie nowhere."""

    networks: Networks
    read: Read

    def come(self) -> None:
        """Read them. Raises AssetError: a file is another one by now."""
        for name, fresh in self.read(tuple(self.networks)).items():
            for mine, other in zip(self.networks[name].modules(), fresh.modules(), strict=True):
                _take(mine, chain(other.named_parameters(recurse=False), other.named_buffers(recurse=False)))

    def leave(self) -> None:
        """Let go of their numbers."""
        for network in self.networks.values():
            for module in network.modules():
                _take(module, [(name, _empty(each)) for name, each in module.named_parameters(recurse=False)])


def _empty(parameter: nn.Parameter) -> nn.Parameter:
    """Make a parameter of the same shape that takes no memory."""
    empty = torch.empty(parameter.shape, dtype=parameter.dtype, device="meta")
    return nn.Parameter(empty, requires_grad=False)


def _take(module: nn.Module, values: Iterable[tuple[str, Tensor]]) -> None:
    """Put parameters and buffers in the place of a module's own."""
    for name, value in values:
        setattr(module, name, value)


class Streamed:
    """Networks whose layers come one by one, each before it is asked, and leave behind it."""

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        """Prepare the networks, which lie on the CPU. Raises DeviceError: a library for it is missing."""
        for network in networks:
            stream_layers(network, device)

    def come(self) -> None:
        """Do nothing: they come by themselves."""

    def leave(self) -> None:
        """Do nothing: they have left."""


def stream_layers(network: nn.Module, device: torch.device) -> None:
    """Let the layers of a network, which lies on the CPU, come to a device one by one.

    On CUDA the next one is on its way while one computes. Raises DeviceError: accelerate is missing.
    """
    from diffusers.utils.import_utils import is_accelerate_available

    if not is_accelerate_available():
        raise DeviceError("memory low: needs accelerate on a GPU; pip install 'smd-cli[offload]', or medium")
    from diffusers.hooks.group_offloading import apply_group_offloading

    apply_group_offloading(
        network,
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
        use_stream=device.type == "cuda",
    )


class Residence:
    """Which guests are here. Several threads may use one; whoever is in use stays."""

    def __init__(self, guests: Mapping[str, Guest], staying: Collection[str] = ()) -> None:
        """Take guests. Those that are `staying` are here and never leave; others come when they are used."""
        self._guests = guests
        self._staying = frozenset(staying)
        self._lock = RLock()
        self._users = dict.fromkeys(guests, 0)
        self.here = set(staying)

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Have a guest here within the block; others that nobody uses leave before it comes."""
        with self._lock:
            if name not in self._staying:
                self._dismiss(name)
            if name not in self.here:
                with torch.inference_mode(mode=False):  # they outlive the block
                    self._guests[name].come()
                self.here.add(name)
            self._users[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._users[name] -= 1

    def _dismiss(self, coming: str) -> None:
        """Send everybody away whom nobody uses, but for `coming`."""
        for name in self.here - self._staying - {coming}:
            if not self._users[name]:
                self._guests[name].leave()
                self.here.remove(name)
