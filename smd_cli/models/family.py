"""What this program has to know of a family of models to find, check, load and run one. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from smd_cli.models.configs import Config, ModelConfigs, read_config
from smd_cli.models.facts import ModelFacts
from smd_cli.models.layer_names import LayerNames
from smd_cli.models.network_class import NetworkClass
from smd_cli.models.vae import Autoencoder, autoencoder_of

if TYPE_CHECKING:
    from smd_cli.core.samplers import ScheduleMaker
    from smd_cli.models.assets import Assets
    from smd_cli.models.backbone import Backbone
    from smd_cli.models.components import Destination


class Tokens(Protocol):
    """The tokens of a text encoder's tokenizer."""

    def check_known(self, count: object, config: Path) -> None:
        """Raise AssetError unless an encoder knows all of them, whose config says that it has `count`."""


def read_clip_tokens(folder: Path) -> Tokens:
    """Read the tokens of a folder of CLIP's tokenizer. Raises AssetError."""
    from smd_cli.models.clip_tokenizer import read_clip_tokenizer  # imports tokenizers

    return read_clip_tokenizer(folder).files


class PromptReading(Protocol):
    """How a text encoder reads prompts."""

    def notes(self, prompt: str, owner: str) -> Iterator[str]:
        """Yield what a user may not expect of a prompt: it is read in pieces, in part, or not as it says.

        `owner` is what it is of, as a sentence names it.
        """


@dataclass(frozen=True)
class Component:
    """One network of a family.

    Attributes:
        stem: of its weights' file name, in the folder of its own.
        prefix: how the names of its tensors begin in a single-file checkpoint.
        network: its class; None: that of an autoencoder, which its config tells.
        tokenizer: of a text encoder, the folder of its tokenizer.
        read_tokens: reads and checks that folder. Raises AssetError.
        inputs: of a denoiser, what the weights that read its input are called, in either layout; their second
            dimension is the number of channels that it reads.
        inversion: of a text encoder, the name of its vectors in textual inversions for several encoders.
        is_optional: a model may come without it, and then has no folder of its name.
    """

    stem: str
    prefix: str
    network: NetworkClass | None = None
    tokenizer: str | None = None
    read_tokens: Callable[[Path], Tokens] = read_clip_tokens
    inputs: tuple[str, ...] = ()
    inversion: str | None = None
    is_optional: bool = False


@dataclass(frozen=True)
class Marks:
    """How to tell a family's checkpoints from those of others.

    Attributes:
        pipelines: the `_class_name`s of its model_index.json.
        tensors: beginnings of tensor names that only its single files have.
        denoiser: names of tensors of its denoiser, without prefix, that no other family's has: of files that
            hold nothing else, in any layout.
        fits_folder: tells whether a model folder without model_index.json is of this family, by its configs.
        adapted: layers that only LoRAs for its published models have: a pattern in the plain name, and how
            many numbers the layer reads; None: however many.
    """

    pipelines: tuple[str, ...]
    tensors: tuple[str, ...]
    fits_folder: Callable[[Path], bool]
    denoiser: tuple[str, ...] = ()
    adapted: tuple[tuple[str, int | None], ...] = ()


@dataclass(frozen=True)
class Family:
    """A family of models, a value made without torch; its functions import torch when they are called.

    Attributes:
        name: its key in `smd_cli.families.FAMILIES`.
        config: Hugging Face id that gives a single-file checkpoint its configs and its tokenizer.
        lcm_lora: Hugging Face id of the LoRA that makes ordinary weights few-step ones (2311.05556); '': none
            is known.
        components: the networks, by the folders that hold them in a diffusers model.
        denoiser: the component that predicts.
        autoencoder: the component that turns pictures into latents and back.
        autoencoders: the classes that it may be of.
        tiny_autoencoder: Hugging Face id of a small one that takes its place; '': none is known that could.
        marks: how its checkpoints are recognised.
        lora: the components that a LoRA may change, and how files name their layers.
        dtypes: the half precisions that its numbers fit, that of its published weights first.
        obeys_upcast: its autoencoders overflow in float16 where their configs say `force_upcast`, which
            diffusers writes into other families' too.
        size_multiple: what the sides of canvas and tiles are multiples of, px.
        read_facts: reads the facts from the configs; a KeyError or TypeError means that one lacks something.
        evaluation_elements: estimates the numbers that one evaluation holds at its peak beyond the weights,
            from the denoiser's config, the latent pixels of a view and how many prompts it has.
        schedules: reads from a model's folder and facts what makes its schedules: the noise levels that it
            was trained on. Raises AssetError if there is no readable config.
        reading: reads how the text encoder reads prompts. Knows no torch. Raises AssetError if there is no
            readable tokenizer.
        load: reads located files into a backbone at a destination, which it tells of each tensor of a network
            and each LoRA. Raises AssetError if weights or LoRAs do not fit.
    """

    name: str
    config: str
    lcm_lora: str
    components: Mapping[str, Component]
    denoiser: str
    autoencoder: str
    autoencoders: tuple[Autoencoder, ...]
    marks: Marks
    lora: Mapping[str, LayerNames]
    size_multiple: int
    read_facts: Callable[[ModelConfigs], ModelFacts]
    evaluation_elements: Callable[[Config, int, int], int]
    schedules: Callable[[Path, ModelFacts], ScheduleMaker]
    reading: Callable[[Assets], PromptReading]
    load: Callable[[Assets, Destination], Backbone]
    tiny_autoencoder: str = ""
    dtypes: tuple[str, ...] = ("float16", "bfloat16")
    obeys_upcast: bool = False

    def network(self, component: str, folder: Path) -> NetworkClass:
        """Return the class of a component whose config lies in a folder.

        Raises:
            AssetError: an autoencoder is none of those that the family knows, or has no readable config.
        """
        return (
            self.components[component].network
            or autoencoder_of(read_config(folder), self.autoencoders, folder).network
        )

    def overflows(self, component: str, folder: Path) -> bool:
        """Tell whether a component, whose config lies in a folder, cannot compute in float16."""
        is_autoencoder = self.obeys_upcast and component == self.autoencoder
        return is_autoencoder and read_config(folder).get("force_upcast") is True
