"""The files of a model's networks: found, whole, and of the shape that the program can run."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from smd_cli.errors import AssetError
from smd_cli.models.choice import network_weights, only_weights
from smd_cli.models.configs import CONFIG
from smd_cli.models.facts import check_channels
from smd_cli.models.family import Family
from smd_cli.models.files import Files
from smd_cli.models.kinds import AUTOENCODER, INVERSION, LORA, kind_of, place_of
from smd_cli.models.weights import check_plain, read_shapes


class NoAutoencoderError(AssetError):
    """A model has no autoencoder of its own, and none is given."""


@dataclass(frozen=True)
class ComponentFiles:
    """The files of one network of a model.

    Attributes:
        config: folder with its config.json.
        weights: its .safetensors files, several where they are sharded; under diffusers' names for its
            tensors, or under those of single-file checkpoints.
    """

    config: Path
    weights: tuple[Path, ...]


Networks = dict[str, ComponentFiles]
"""The files of networks by the names of the family's components."""


def parts_of_folder(
    files: Files, family: Family, given: Collection[str], left_out: Collection[str]
) -> list[str]:
    """Return which components of a family a model folder has.

    Args:
        files: of the folder.
        family: the model's.
        given: the components that come from elsewhere.
        left_out: optional ones that are not wanted.

    Raises:
        AssetError: one is missing that cannot be left out.
    """
    found = []
    for name, component in family.components.items():
        if component.is_optional and name in left_out:
            continue
        if name in given or files.has_folder(name):
            found.append(name)
        elif not component.is_optional:
            raise _missing(files.reference, name, family, f"folder {name}")
    return found


def fetch_folder(files: Files, folder: Path, family: Family, parts: Collection[str]) -> Networks:
    """Fetch the weights of some networks of a model folder, whose configs are in `folder` already."""
    weights = {
        name: [f"{name}/{file}" for file in network_weights(files.folder(name), family.components[name].stem)]
        for name in parts
    }
    files.get(*(file for names in weights.values() for file in names))
    return {
        name: ComponentFiles(folder / name, tuple(folder / file for file in names))
        for name, names in weights.items()
    }


def parts_of_file(path: Path, family: Family) -> list[str]:
    """Return which components of a family a single file holds: the denoiser, where no name has a prefix."""
    names = read_shapes(path)
    held = [
        name
        for name, component in family.components.items()
        if any(each.startswith(component.prefix) for each in names)
    ]
    return held or [family.denoiser]


def lacking_parts(
    path: Path, family: Family, held: Collection[str], *, has_vae: bool, has_config: bool
) -> list[str]:
    """Return the components that a single file lacks, which the folder of its configs has to give.

    An optional text encoder is missed only where the file `held` none at all. A user gives, or does not, an
    autoencoder and the folder: a denoiser alone does not tell what it was trained beside.

    Raises AssetError: it lacks the denoiser, or more than nobody could know.
    """
    is_alone = set(held) == {family.denoiser}
    encoders = {name: each for name, each in family.components.items() if each.tokenizer}
    has_some = any(name in held for name in encoders)
    lacking = [
        name for name, each in encoders.items() if name not in held and not (has_some and each.is_optional)
    ]
    if family.autoencoder not in held and not has_vae:
        lacking.append(family.autoencoder)
    if family.denoiser not in held or (family.autoencoder in lacking and not is_alone):
        name = family.autoencoder if family.denoiser in held else family.denoiser
        raise _missing(str(path), name, family, f"tensors {family.components[name].prefix}…")
    if is_alone and not has_config:
        wanted = " and ".join(map(_kind, lacking))
        raise AssetError(
            f"{path}: the {_kind(family.denoiser)} of a {family.name} model alone; set model.config to a "
            f"diffusers folder or a Hugging Face id that has its {wanted}, such as {family.config}"
        )
    return lacking


def _missing(where: str, name: str, family: Family, sign: str) -> AssetError:
    """Return the error of a model that lacks a component, whose `sign` is not there."""
    if name == family.autoencoder:
        return NoAutoencoderError(f"{where}: holds no autoencoder (no {sign}); give one as model.vae")
    return AssetError(
        f"{where}: holds no {_kind(name)} (no {sign}), so it is no whole model; get one that is"
    )


def _kind(name: str) -> str:
    """Return what a sentence calls a component."""
    return {"unet": "UNet", "vae": "autoencoder"}.get(name, name.replace("_", " "))


def fetch_autoencoder(files: Files, stem: str, name: str) -> ComponentFiles | Path:
    """Fetch an autoencoder: that of a model folder, a folder of one, or a file, which has no config.

    Raises AssetError: there is none.
    """
    folder = files.folder(name) if files.has_folder(name) else files
    if folder.file or CONFIG not in folder:
        (path,) = files.get(only_weights(files, "autoencoder"))
        shapes = read_shapes(path)
        if kind_of(shapes) in (LORA, INVERSION):  # a checkpoint has an autoencoder in it
            raise AssetError(f"{path}: {place_of(shapes, AUTOENCODER)}")
        return path
    config, *weights = folder.get(CONFIG, *network_weights(folder, stem))
    return ComponentFiles(config.parent, tuple(weights))


def check_network(files: ComponentFiles, family: Family, name: str, latent_channels: int) -> None:
    """Raise AssetError unless the files of a network are whole, and a denoiser reads latents alone."""
    component = family.components[name]
    seen: dict[str, Path] = {}
    for path in files.weights:
        check_plain(path, component.prefix)
        for tensor, shape in read_shapes(path).items():
            if (other := seen.setdefault(tensor, path)) != path:
                raise AssetError(f"{path}: holds {tensor}, as {other.name} does; get the shards again")
            if tensor.removeprefix(component.prefix) in component.inputs and len(shape) > 1:
                check_channels(path, shape[1], latent_channels)
