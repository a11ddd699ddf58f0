"""One network of a checkpoint: built from its config, filled from its weights, ready to be asked."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from inspect import signature
from typing import Any

import torch
from diffusers.loaders import single_file_utils
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode
from transformers.initialization import no_init_weights

from smd_cli.errors import AssetError
from smd_cli.models.assets import Assets
from smd_cli.models.configs import CONFIG
from smd_cli.models.network_class import NetworkClass, read_network_config
from smd_cli.models.networks import ComponentFiles
from smd_cli.models.spec import asked_for
from smd_cli.models.weights import open_weights, own_names

Network = Any  # diffusers and transformers have no types
Weights = dict[str, Tensor]

ROOM = 1000
"""By how many more than twice the other's a network's parameters and its weights' tensors may differ."""


def read_tensors(files: ComponentFiles, prefix: str) -> Weights:
    """Read the tensors of a network: of a whole checkpoint those with its prefix, else all.

    Raises:
        AssetError: as `open_weights`.
    """
    tensors: Weights = {}
    for path in files.weights:
        with open_weights(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in own_names(file.keys(), prefix)}
    return tensors


@dataclass(frozen=True)
class Destination:
    """Where tensors go: their device and dtype, and who is told how many more have come there.

    `elsewhere` names components that lie on another device until they are used (see `models.residence`);
    `weights`, one of `smd_cli.placement.WEIGHTS`, is how large layers keep theirs; `networks` are those that
    have been loaded; `load` loads each of them, by default from its files.

    Files are read as late as that: until then their tensors are maps of them. From then on they are copies,
    which whoever writes to a file changes no more.
    """

    device: torch.device
    dtype: torch.dtype
    arrived: Callable[[int], None]
    elsewhere: Mapping[str, torch.device] = field(default_factory=dict)
    weights: str = "full"
    networks: dict[str, Network] = field(default_factory=dict)
    load: "Load | None" = None

    def of(self, component: str) -> "Destination":
        """Return where the tensors of a component go."""
        return replace(self, device=self.elsewhere.get(component, self.device))

    def take(self, tensors: Weights, of: int, precise: Collection[str] = ()) -> Weights:
        """Bring tensors there, one after the other; they were made of so many tensors of files.

        Those whose names have a part among `precise` stay in float32 where the others come in float16.
        """
        taken, told = {}, 0
        for number, (name, tensor) in enumerate(tensors.items(), 1):
            taken[name] = tensor.to(self.device, self._dtype(name, tensor, precise), copy=True)
            self.arrived(of * number // len(tensors) - told)
            told = of * number // len(tensors)
        return taken

    def _dtype(self, name: str, tensor: Tensor, precise: Collection[str]) -> torch.dtype:
        if not tensor.is_floating_point():
            return tensor.dtype
        overflows = self.dtype == torch.float16 and any(part in precise for part in name.split("."))
        return torch.float32 if overflows else self.dtype


def component_dtype(assets: Assets, component: str, dtype: torch.dtype) -> torch.dtype:
    """Return what a network computes in where its model is in `dtype`: float32 if it overflows in float16."""
    overflows = assets.family.overflows(component, assets.components[component].config)
    return torch.float32 if overflows and dtype == torch.float16 else dtype


Load = Callable[[NetworkClass, ComponentFiles, str, Destination], Network]
"""Loads a network, as `load_component` does."""


def load_networks(
    assets: Assets, to: Destination, names: Collection[str] | None = None
) -> dict[str, Network]:
    """Load a model's networks, by the names of its family's components; `names` are those of some of them.

    Raises as `load_component`.
    """
    family, networks = assets.family, {}
    for name in assets.components if names is None else names:
        files = assets.components[name]
        network, prefix = family.network(name, files.config), family.components[name].prefix
        with asked_for(files.config, *assets.part_of(name)):
            there = replace(to.of(name), dtype=component_dtype(assets, name, to.dtype))
            networks[name] = (to.load or load_component)(network, files, prefix, there)
    return networks


def load_component(network: NetworkClass, files: ComponentFiles, prefix: str, to: Destination) -> Network:
    """Load a network, to evaluate without gradients.

    It is built here from its checked config and filled with tensors of the given files. The libraries give
    the classes, and names for tensors; they read nothing and look for nothing.

    Args:
        network: what it is.
        files: where its config is, and whence its tensors are.
        prefix: how the names of its tensors begin in a checkpoint of several networks.
        to: device and dtype of the result.

    Raises:
        AssetError: the config describes no network, or the weights do not fill it.
    """
    tensors = read_tensors(files, prefix)
    where = ", ".join(map(str, files.weights))
    model = build_network(network, files, len(tensors))
    try:
        weights = _named(network, model, tensors, prefix)
        _check_shapes(weights, model.state_dict())
    except (ValueError, RuntimeError, TypeError, LookupError, AttributeError) as error:
        reason = f"no {summary(error)}" if isinstance(error, KeyError) else summary(error)
        raise AssetError(f"{where}: does not fit {files.config} ({reason})") from error
    precise = getattr(model, "_keep_in_fp32_modules", None) or ()  # what the library knows to overflow
    taken = to.take(weights, len(tensors), precise)
    tied = getattr(model, "_tied_weights_keys", None) or {}
    missing = set(model.load_state_dict(taken, strict=False, assign=True).missing_keys) - set(tied)
    if missing:
        raise AssetError(f"{where}: lacks {len(missing)} of the model's tensors, such as {min(missing)}")
    if tied:
        model.tie_weights()
    return model.to(to.device).eval().requires_grad_(requires_grad=False)


def summary(error: Exception) -> str:
    """Return the first sentence of a library's error, on one line."""
    return " ".join(str(error).split()).split(". ")[0] or type(error).__name__


def build_network(network: NetworkClass, files: ComponentFiles, tensors: int) -> Network:
    """Build a network whose parameters are still empty, to be filled from so many tensors.

    Raises AssetError: its config describes none.
    """
    config = read_network_config(files.config, network)
    kind = getattr(import_module(network.module), network.name)
    try:
        with no_init_weights(), _empty_parameters(2 * tensors + ROOM):
            if hasattr(kind, "config_class"):  # of transformers, whose configs are objects
                built = kind(kind.config_class(**config, attn_implementation=network.attention))
            else:
                built = network.build(kind, config)
            network.trim(built)
            return built
    except Exception as error:  # the libraries' classes raise whatever they meet
        raise AssetError(f"{files.config / CONFIG}: describes no network ({summary(error)})") from error


class _EmptyElsewhere(TorchFunctionMode):
    """Makes empty tensors, which parameters begin as, on PyTorch's meta device, where they take no memory."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - as PyTorch declares it
        """Call a function of PyTorch."""
        elsewhere = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **{**(kwargs or {}), **elsewhere})


@contextmanager
def _empty_parameters(most: int) -> Iterator[None]:
    """Let networks be built of at most so many parameters, which take no memory.

    Raises ValueError: they are more.
    """
    count = 0

    def empty(_module: nn.Module, _name: str, parameter: nn.Parameter | None) -> nn.Parameter | None:
        nonlocal count
        count += parameter is not None
        if count > most:
            raise ValueError(f"it has more than {most:,} parameters, far more than its weights")
        if parameter is None or parameter.is_meta:
            return parameter
        return nn.Parameter(parameter.to("meta"), requires_grad=False)

    handle = register_module_parameter_registration_hook(empty)  # type: ignore[arg-type]  # it may return one
    try:
        with _EmptyElsewhere():
            yield
    finally:
        handle.remove()


def _named(network: NetworkClass, model: Network, tensors: Weights, prefix: str) -> Weights:
    """Return the tensors that a network has a place for, under its own names."""
    expected = model.state_dict()
    if len(tensors) > 2 * len(expected) + ROOM:  # renaming takes a time that grows with the square
        raise ValueError(f"{len(tensors):,} tensors, far more than its {len(expected):,}")
    weights = _placed(network, expected, tensors, prefix)
    if 4 * len(weights) < 3 * len(expected) and network.single_file:  # layouts may have many names in common
        convert = getattr(single_file_utils, network.single_file)
        start = "" if network.takes_bare_names else prefix
        named = {start + name.removeprefix(prefix): each for name, each in tensors.items()}
        given = {"checkpoint": named, "config": model.config, "text_model": model, "prefix": prefix}
        wanted = signature(convert).parameters.keys() & given.keys()
        weights = _placed(network, expected, convert(**{name: given[name] for name in wanted}), "")
    if network.identity and any(name.startswith(prefix) for name in tensors):
        weights[network.identity] = torch.eye(len(expected[network.identity]))
    return weights


def _placed(network: NetworkClass, expected: Collection[str], tensors: Weights, prefix: str) -> Weights:
    """Return the tensors that, less a prefix, have an expected name in one of their spellings, under that."""
    weights: Weights = {}
    for name, tensor in tensors.items():
        bare = name.removeprefix(prefix)
        known = next((each for each in (bare, *network.spellings(bare)) if each in expected), None)
        if known is not None:
            weights[known] = tensor
    return weights


def _check_shapes(weights: Weights, expected: Weights) -> None:
    """Raise ValueError if a tensor is of another shape than the network's."""
    for name, tensor in sorted(weights.items()):
        if tensor.shape != expected[name].shape:
            shapes = f"{tuple(tensor.shape)} instead of {tuple(expected[name].shape)}"
            raise ValueError(f"{name} is of shape {shapes}")
