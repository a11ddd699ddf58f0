"""What goes into a scene's bundle: the files that the scene, and each point of its matrix, names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smd_cli.app.bundle.layout import Named
from smd_cli.errors import AssetError, SmdError
from smd_cli.media.frame_files import frame_files
from smd_cli.media.images import check_file
from smd_cli.models.peft_config import ADAPTER_CONFIG
from smd_cli.models.prediction import inference_configs
from smd_cli.models.sources import local_files
from smd_cli.references import PICKLES
from smd_cli.regular_files import is_directory, is_there
from smd_cli.scene.loader import LoadedScene
from smd_cli.scene.matrix import Point
from smd_cli.scene.named import NamedReference, named_references


def variants(loaded: LoadedScene) -> list[LoadedScene]:
    """Return a scene, and those points of its matrix that can name other files: numbers name none."""
    points: dict[tuple[tuple[tuple[str, ...], str], ...], Point] = {}
    for point in loaded.points():
        texts = [value for value in point.overrides if not isinstance(value.value.value, (int, float, bool))]
        points.setdefault(tuple((value.keys, str(value.value.plain())) for value in texts), point)
    return [loaded, *(loaded.at_point(point) for texts, point in points.items() if texts)]


def contents(loaded: LoadedScene, *, with_models: bool) -> list[Named]:
    """Return what a scene and the points of its matrix name, each text once, with its files.

    Those of a model are among them only `with_models`. Raises AssetError, with the place: there is none.
    """
    found: dict[object, Named] = {}
    for variant in variants(loaded):
        for each in named_references(variant):
            key = each.node.place, each.reference.text, each.is_model, each.is_frames
            if key not in found:
                found[key] = _found(variant, each, with_models=with_models)
    return list(found.values())


def _found(variant: LoadedScene, each: NamedReference, *, with_models: bool) -> Named:
    """Find the files of what a scene names. Raises AssetError, with the place: there is none."""
    try:
        if each.is_model:
            return Named(each, tuple(_model_files(each)) if with_models and is_here(each) else ())
        files = frame_files(each.reference.path) if each.is_frames else [each.reference.path]
        for path in files:
            check_file(path)
    except SmdError as error:
        raise error.at(variant.locate(*each.loc)) from error
    return Named(each, tuple(files))


def _model_files(each: NamedReference) -> Iterator[Path]:
    """Yield the files of a part of a model that a scene names by a path, pickles left out.

    Beside a file may lie another one that says how it is meant. Raises AssetError: nothing is there.
    """
    path = each.reference.path
    if not is_there(path):
        raise AssetError(f"{path}: no such file")
    if is_directory(path):
        yield from (file for file in local_files(str(path)) if file.suffix not in PICKLES)
        return
    beside = (*inference_configs(path.name), ADAPTER_CONFIG)
    yield from (path, *(file for file in map(path.with_name, beside) if is_there(file)))


def is_here(each: NamedReference) -> bool:
    """Tell whether a model is named by a path, and so means something on this machine alone."""
    return Path(each.reference.source).is_absolute()
