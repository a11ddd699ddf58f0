"""Making a bundle: a scene as its author wrote it, and all files that it names, in one zip file.

The same scene and files make the same bytes, on whatever machine and day: files are stored as they are, since
every version of a compressor makes other bytes, in a fixed order, with a fixed time and mode.
"""

from __future__ import annotations

import copy
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smd_cli.app.apart import check_apart
from smd_cli.app.bundle.archive import MAX_BYTES
from smd_cli.app.bundle.layout import Layout, Named, lay_out
from smd_cli.app.bundle.names import why_unfit
from smd_cli.app.bundle.place import ZIP
from smd_cli.app.named_files import digests_of, picture_files
from smd_cli.app.scenes import OpenedScene, load_scene, plan_of
from smd_cli.digests import digest_of
from smd_cli.errors import AssetError, SceneError, SmdError, UsageError
from smd_cli.media.drafts import Admit
from smd_cli.media.files import Existing, check_target, drafting
from smd_cli.media.frame_files import frame_files
from smd_cli.media.images import check_file
from smd_cli.messages import Place, call_folder, forget_folder
from smd_cli.models.peft_config import ADAPTER_CONFIG
from smd_cli.models.prediction import inference_configs
from smd_cli.models.sources import local_files
from smd_cli.references import PICKLES
from smd_cli.regular_files import is_directory, is_there, open_regular
from smd_cli.scene.loader import LoadedScene
from smd_cli.scene.matrix import Point
from smd_cli.scene.named import NamedReference, named_references
from smd_cli.scene.rewrite import rewrite
from smd_cli.scene.tree import Node, dotted
from smd_cli.scene.yaml_types import dump

_BEGINNING = (1980, 1, 1, 0, 0, 0)  # of zip files' time
_FILE, _FOLDER = 0o100644 << 16, 0o40755 << 16 | 0x10


@dataclass(frozen=True)
class MadeBundle:
    """A bundle that was written.

    Attributes:
        path: of the file.
        sha256: of the file.
        scene: the scene's path in it.
        files: the paths in it of what the scene names.
        left_out: the parts of the model that lie on this machine, by their places in the scene, and what the
            scene calls them in the bundle.
    """

    path: str
    sha256: str
    scene: str
    files: tuple[str, ...]
    left_out: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


def make_bundle(
    opened: OpenedScene, target: Path, *, with_models: bool = False, overwrite: bool = False
) -> MadeBundle:
    """Write the bundle of a scene, whole or not at all, once it has been read back.

    `with_models` puts in what lies on this machine of the scene's model, too; what the program brings, or
    the hub has, is never put in.

    Raises:
        UsageError: it cannot be written there, or another file is there and `overwrite` is not given.
        SceneError, AssetError: a file that the scene names cannot be read, or cannot be in a bundle.
    """
    check_bundle_target(opened, target, overwrite=overwrite)
    named = [_named(*found, with_models=with_models) for found in _everything(opened.loaded)]
    name = f"{opened.plan.name}.yaml"
    if reason := why_unfit(name):
        raise SceneError(opened.locate().says(f"the name of the scene {reason}; rename its file"))
    layout = lay_out(name, named)
    tree, text = _renamed(opened.loaded, named, layout)
    if sum(file.stat().st_size for file in layout.files.values()) > MAX_BYTES:
        raise SceneError(
            opened.locate().says("has files of more than 4 GiB in all, which bundles do not hold")
        )
    with drafting(target) as draft:
        _write(draft.temporary, layout, text)
        _read_back(opened, draft.temporary, target, tree)
        sha256 = digest_of([draft.temporary])
        draft.commit(_admission(target, sha256, overwrite=overwrite))
    left_out = {
        dotted(each.named.loc): text
        for each, text in zip(named, layout.texts, strict=True)
        if not each.files and _is_here(each.named)
    }
    return MadeBundle(str(target), sha256, layout.scene, tuple(sorted(layout.files)), left_out)


def check_bundle_target(opened: OpenedScene, target: Path, *, overwrite: bool) -> None:
    """Raise UsageError, before any work, where a bundle cannot be written."""
    place = Place.of_file(target)
    if target.suffix.lower() != ZIP:
        raise UsageError(place.says("bundles are zip files; give a name that ends in .smd.zip"))
    check_target(target, Existing.OVERWRITE)
    check_apart(opened, target)


def _variants(loaded: LoadedScene) -> list[LoadedScene]:
    """Return a scene, and those points of its matrix that can name other files: numbers name none."""
    points: dict[tuple[tuple[tuple[str, ...], str], ...], Point] = {}
    for point in loaded.points():
        texts = [value for value in point.overrides if not isinstance(value.value.value, (int, float, bool))]
        points.setdefault(tuple((value.keys, str(value.value.plain())) for value in texts), point)
    return [loaded, *(loaded.at_point(point) for texts, point in points.items() if texts)]


def _everything(loaded: LoadedScene) -> Iterator[tuple[LoadedScene, NamedReference]]:
    """Yield what a scene and the points of its matrix name, each text once, and which of them names it."""
    told = set()
    for variant in _variants(loaded):
        for each in named_references(variant):
            key = each.node.place, each.reference.text, each.is_model, each.is_frames
            if key not in told:
                told.add(key)
                yield variant, each


def _named(variant: LoadedScene, each: NamedReference, *, with_models: bool) -> Named:
    """Find the files of what a scene names. Raises AssetError, with the place: there is none."""
    try:
        if each.is_model:
            return Named(each, tuple(_model_files(each)) if with_models and _is_here(each) else ())
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


def _is_here(each: NamedReference) -> bool:
    """Tell whether a model is named by a path, and so means something on this machine alone."""
    return Path(each.reference.source).is_absolute()


def _renamed(loaded: LoadedScene, named: list[Named], layout: Layout) -> tuple[Node, str]:
    """Return the values of the scene in the bundle, and its text: as it was written, but for its paths."""
    tree = copy.deepcopy(loaded.tree)
    changes = {
        (each.named.node.place, each.text): text
        for each, text in zip(named, layout.texts, strict=True)
        if text != each.text
    }
    for node in tree.nodes():
        if isinstance(node.value, str):
            node.value = changes.get((node.place, node.value), node.value)
    if loaded.text is None:
        return tree, dump(tree.plain()) + "\n"
    return tree, rewrite(loaded.text, {place: text for (place, _), text in changes.items()})


def _write(path: Path, layout: Layout, text: str) -> None:
    """Write the zip file: the scene first, then folders and files by name."""
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(_entry(layout.scene), text.encode())
        for folder in sorted(layout.folders):
            bundle.writestr(_entry(f"{folder}/"), b"")
        for name, file in sorted(layout.files.items()):
            with open_regular(file) as source:
                entry = _entry(name)
                entry.file_size = Path(file).stat().st_size
                with bundle.open(entry, "w") as target:
                    shutil.copyfileobj(source, target)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _BEGINNING)
    entry.create_system = 3  # Unix, whose modes these are
    entry.external_attr = _FOLDER if name.endswith("/") else _FILE
    return entry


def _read_back(opened: OpenedScene, path: Path, target: Path, tree: Node) -> None:
    """Check that a bundle says what it is meant to, and holds the files of the scene.

    Raises SceneError: it is larger than bundles are, say, or a pattern matches other files in it.
    """
    call_folder(path, str(target))
    try:
        again = load_scene(path)  # which keeps it unpacked
        if again.loaded.tree.plain() != tree.plain():
            raise SceneError(opened.locate().says("its paths cannot be changed; write them relative to it"))
        tasks = dict.fromkeys([opened.plan.task, *["stream"] * opened.can_stream])
        for before, after in zip(_variants(opened.loaded), _variants(again.loaded), strict=True):
            for task in tasks:
                _check_equal(before.with_task(task), after.with_task(task))
    finally:
        forget_folder(path)


def _check_equal(before: LoadedScene, after: LoadedScene) -> None:
    """Raise SceneError where a scene in a bundle has other pictures than it has outside."""
    own, there = (digests_of(picture_files(plan_of(each))) for each in (before, after))
    if changed := [key for key in own if own[key] != there.get(key)]:
        says = "would be other files in the bundle; let a pattern match its frames alone"
        raise SceneError(*(before.locate().says(f"{key} {says}") for key in changed))


def _admission(target: Path, sha256: str, *, overwrite: bool) -> Admit:
    """Return what looks at a file that is there already: the same bundle may be."""

    def admit() -> None:
        if not overwrite and digest_of([target]) != sha256:
            raise UsageError(
                Place.of_file(target).says("exists, and is another file; --overwrite replaces it")
            )

    return admit
