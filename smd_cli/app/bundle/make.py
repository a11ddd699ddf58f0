"""Making a bundle: a scene as its author wrote it, and all files that it names, in one zip file.

The same scene and files make the same bytes, on whatever machine and day: files are stored as they are, since
every version of a compressor makes other bytes, in a fixed order, with a fixed time and mode.
"""

from __future__ import annotations

import copy
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smd_cli.app.apart import check_apart
from smd_cli.app.bundle.archive import MAX_BYTES
from smd_cli.app.bundle.contents import contents, is_here, variants
from smd_cli.app.bundle.layout import LOCK, Layout, Named, lay_out
from smd_cli.app.bundle.locks import lock_of_bundle
from smd_cli.app.bundle.names import why_unfit
from smd_cli.app.bundle.place import ZIP
from smd_cli.app.lock.lockfile import Lock, read_lock
from smd_cli.app.named_files import digests_of, picture_files
from smd_cli.app.scenes import OpenedScene, load_scene, plan_of
from smd_cli.digests import digest_of
from smd_cli.errors import SceneError, UsageError
from smd_cli.media.drafts import Admit
from smd_cli.media.files import Existing, check_target, drafting
from smd_cli.messages import Message, Place, call_folder
from smd_cli.regular_files import open_regular
from smd_cli.scene.loader import LoadedScene
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
        locked: how many pictures its lock holds; 0: it has none.
        left_out: the parts of the model that lie on this machine, by their places in the scene, and what the
            scene calls them in the bundle.
        notes: what else was left out.
    """

    path: str
    sha256: str
    scene: str
    files: tuple[str, ...]
    locked: int
    left_out: dict[str, str]
    notes: tuple[Message, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints beside notes."""
        told = asdict(self)
        del told["notes"]
        return told


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a bundle.

    Attributes:
        lock: whose pictures of the scene are put in; None: none is.
        lock_can_wait: a lock that does not hold for the bundle is left out with a note; else it is an error.
        with_models: put in what lies on this machine of the scene's model, too. What the program brings, or
            the hub has, is never put in.
        overwrite: replace another file.
    """

    lock: Lock | None = None
    lock_can_wait: bool = False
    with_models: bool = False
    overwrite: bool = False


def make_bundle(opened: OpenedScene, target: Path, wanted: Wanted = Wanted()) -> MadeBundle:
    """Write the bundle of a scene, whole or not at all, once it has been read back.

    Raises:
        UsageError: it cannot be written there; another file is there; the lock does not hold the scene.
        SceneError, AssetError: a file that the scene names cannot be read, or cannot be in a bundle.
    """
    check_bundle_target(opened, target)
    named = contents(opened.loaded, with_models=wanted.with_models)
    layout = _lay_out(opened, named)
    tree, text = _renamed(opened.loaded, named, layout)
    lock, notes = _lock(opened, named, layout, wanted)
    with drafting(target) as draft:
        _write(draft.temporary, layout, {layout.scene: text} | ({LOCK: lock.to_json()} if lock else {}))
        _read_back(opened, draft.temporary, target, tree)
        if lock:
            read_lock(draft.temporary / LOCK)
        sha256 = digest_of([draft.temporary])
        draft.commit(_admission(target, sha256, overwrite=wanted.overwrite))
    left_out = {
        dotted(each.named.loc): text
        for each, text in zip(named, layout.texts, strict=True)
        if not each.files and is_here(each.named)
    }
    locked = len(lock.pictures) if lock else 0
    return MadeBundle(str(target), sha256, layout.scene, tuple(sorted(layout.files)), locked, left_out, notes)


def _lay_out(opened: OpenedScene, named: list[Named]) -> Layout:
    """Lay a bundle out. Raises SceneError: the scene's name is not for every system, or it is too large."""
    name = f"{opened.plan.name}.yaml"
    if reason := why_unfit(name):
        raise SceneError(opened.locate().says(f"the name of the scene {reason}; rename its file"))
    layout = lay_out(name, named)
    if sum(file.stat().st_size for file in layout.files.values()) > MAX_BYTES:
        raise SceneError(opened.locate().says("has files of more than 4 GiB in all, too many for a bundle"))
    return layout


def _lock(
    opened: OpenedScene, named: list[Named], layout: Layout, wanted: Wanted
) -> tuple[Lock | None, tuple[Message, ...]]:
    """Return the lock of a bundle, and notes where it has none although there is one."""
    if wanted.lock is None:
        return None, ()
    try:
        return lock_of_bundle(wanted.lock, opened, named, layout), ()
    except UsageError as error:
        if not wanted.lock_can_wait:
            raise
        return None, error.problems


def check_bundle_target(opened: OpenedScene, target: Path) -> None:
    """Raise UsageError, before any work, where a bundle cannot be written."""
    place = Place.of_file(target)
    if target.suffix.lower() != ZIP:
        raise UsageError(place.says("bundles are zip files; give a name that ends in .smd.zip"))
    check_target(target, Existing.OVERWRITE)
    check_apart(opened, target)


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


def _write(path: Path, layout: Layout, texts: Mapping[str, str]) -> None:
    """Write the zip file: texts first, then folders and files by name."""
    with zipfile.ZipFile(path, "w") as bundle:
        for name, text in texts.items():
            bundle.writestr(_entry(name), text.encode())
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
    again = load_scene(path)  # which keeps it unpacked
    if again.loaded.tree.plain() != tree.plain():
        raise SceneError(opened.locate().says("its paths cannot be changed; write them relative to it"))
    tasks = dict.fromkeys([opened.plan.task, *["stream"] * opened.can_stream])
    for before, after in zip(variants(opened.loaded), variants(again.loaded), strict=True):
        for task in tasks:
            _check_equal(before.with_task(task), after.with_task(task))


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
