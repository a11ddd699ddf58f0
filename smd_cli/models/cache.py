"""The hub's cache: which repositories of models are in it, and taking them out of it. Knows no torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from smd_cli.errors import AssetError, SmdError
from smd_cli.models.download import HALF
from smd_cli.models.hub import cache_folder, place_of, repository_folder

if TYPE_CHECKING:
    from huggingface_hub import CachedRepoInfo, DeleteCacheStrategy

_PREFIX = repository_folder("")
_LEAST = 7  # characters of a commit that name it


@dataclass(frozen=True)
class CachedRevision:
    """A commit in the cache: its hash, the branches and tags that stand for it, bytes, and its folder."""

    commit: str
    refs: tuple[str, ...]
    size: int
    folder: Path


@dataclass(frozen=True)
class CachedRepository:
    """A repository of models in the cache.

    Attributes:
        name: owner/name.
        folder: in the cache.
        size: bytes; files that several revisions share count once.
        half: bytes of downloads that were cut off, beside these.
        last_used: when a file of it was last read, in seconds since 1970; None: not known.
        revisions: the last fetched first.
        problem: why its revisions are not known; '' where they are.
    """

    name: str
    folder: Path
    size: int
    half: int
    last_used: float | None = None
    revisions: tuple[CachedRevision, ...] = ()
    problem: str = ""

    @property
    def refs(self) -> tuple[str, ...]:
        """The branches and tags of all its revisions."""
        return tuple(ref for revision in self.revisions for ref in revision.refs)


@dataclass(frozen=True)
class Removal:
    """What is to be taken out of the cache: of a repository these commits, and the bytes that this frees."""

    name: str
    commits: tuple[str, ...]
    frees: int
    _run: Callable[[], None] = field(repr=False)

    def execute(self) -> None:
        """Take it out. Raises SmdError: the system refuses."""
        try:
            self._run()
        except OSError as error:
            raise SmdError(f"{error.filename or self.name}: cannot be removed: {error.strerror}") from error


def cached_repositories() -> tuple[CachedRepository, ...]:
    """Return the repositories of models in the cache, by name. What is odd there is told, never raised."""
    try:
        names = sorted(each.name for each in cache_folder().iterdir() if each.name.startswith(_PREFIX))
    except OSError:  # nothing was fetched so far
        return ()
    return tuple(_read(cache_folder() / name) for name in names)


def _read(folder: Path) -> CachedRepository:
    name = folder.name.removeprefix(_PREFIX).replace("--", "/")
    blobs = list(_sizes(folder / "blobs"))
    half = sum(size for blob, size in blobs if blob.endswith(HALF))
    with _scanned(folder) as (info, problem):
        if info is None:
            whole = sum(size for _, size in blobs) - half
            problem = problem if blobs else "nothing of it is here"
            return CachedRepository(name, folder, whole, half, problem=problem)
        newest_first = sorted(info.revisions, key=lambda each: (-each.last_modified, each.commit_hash))
        revisions = tuple(
            CachedRevision(
                each.commit_hash,
                tuple(sorted(each.refs)),
                each.size_on_disk,
                folder / "snapshots" / each.commit_hash,
            )
            for each in newest_first
        )
        return CachedRepository(name, folder, info.size_on_disk, half, info.last_accessed, revisions)


@contextmanager
def _scanned(folder: Path) -> Iterator[tuple[CachedRepoInfo | None, str]]:
    """Scan a repository of the cache by itself: where several are scanned, an odd one can end it for all."""
    from huggingface_hub import scan_cache_dir

    with TemporaryDirectory() as alone:
        (Path(alone) / folder.name).symlink_to(folder)
        try:
            info = scan_cache_dir(alone)
            found = next(iter(info.repos), None)
            reasons = [str(warning) for warning in info.warnings]
        except (OSError, ValueError) as error:
            found, reasons = None, [str(error)]
        reason = " ".join("; ".join(reasons).split()).replace(alone, str(folder.parent))
        yield found, reason.replace(str(Path(alone).resolve()), str(folder.parent))


def _sizes(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the names and sizes of a folder's files; nothing where it cannot be read."""
    try:
        for path in folder.iterdir():
            yield path.name, path.lstat().st_size
    except OSError:
        return


def removal_of(reference: str) -> Removal:
    """Find what a reference names in the cache, a repository or one revision of it; nothing is removed yet.

    Raises:
        AssetError: it is not in the cache, names no repository of the hub or a file of one, or leads out of
            the cache.
    """
    place = place_of(reference)
    if place.path_in_repo.strip("/"):
        raise AssetError(
            f"{reference}: names a part of a repository; whole ones are removed, or revisions of one"
        )
    cached = {each.name: each for each in cached_repositories()}
    if place.id not in cached:
        raise AssetError(f"{reference}: not in the Hugging Face cache ({cache_folder()})")
    found = cached[place.id]
    if found.folder.is_symlink():
        raise AssetError(
            f"{found.folder}: is a link out of the cache; remove it, or what it leads to, yourself"
        )
    commits = tuple(revision.commit for revision in _meant(found, place.revision, reference))
    if not found.revisions:  # it is damaged, or all of it was cut off
        return Removal(found.name, (), found.size + found.half, lambda: _remove(found.folder))
    strategy = _strategy(found.folder, commits)
    half = found.half if strategy.repos else 0
    return Removal(found.name, commits, strategy.expected_freed_size + half, strategy.execute)


def _meant(found: CachedRepository, revision: str | None, reference: str) -> tuple[CachedRevision, ...]:
    """Return the revisions that a reference names: by a branch, a tag, or the beginning of a commit."""
    if revision is None:
        return found.revisions
    meant = tuple(
        each
        for each in found.revisions
        if revision in each.refs or (len(revision) >= _LEAST and each.commit.startswith(revision))
    )
    if len(meant) == 1:
        return meant
    there = ", ".join(f"{each.commit[:_LEAST]} {' '.join(each.refs)}".strip() for each in found.revisions)
    raise AssetError(
        f"{reference}: {'several' if meant else 'no'} such revisions in the cache ({there or 'none'})"
    )


def _remove(damaged: Path) -> None:
    """Remove what stands in place of a repository, which can be a file."""
    if damaged.is_dir():
        shutil.rmtree(damaged)
    else:
        damaged.unlink()


def _strategy(folder: Path, commits: Iterable[str]) -> DeleteCacheStrategy:
    """Plan the removal of some of a repository's revisions. Raises AssetError: it would reach out of it."""
    from huggingface_hub import scan_cache_dir

    inside = folder.resolve()
    try:
        cache = scan_cache_dir(folder.parent)
    except (OSError, ValueError) as error:
        raise AssetError(f"{folder.parent}: cannot be scanned ({' '.join(str(error).split())})") from error
    own = frozenset(repo for repo in cache.repos if repo.repo_path == inside)  # copies share its commits
    strategy = replace(cache, repos=own).delete_revisions(*commits)
    for path in (*strategy.blobs, *strategy.refs, *strategy.snapshots, *strategy.repos, *strategy.files):
        if not path.is_relative_to(inside):
            raise AssetError(f"{folder}: leads out of the cache, to {path}; remove the whole repository")
    return strategy
