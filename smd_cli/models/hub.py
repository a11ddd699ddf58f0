"""Files of Hugging Face repositories; the only module that talks to the hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from yaml import YAMLError

from smd_cli.errors import AssetError
from smd_cli.models.download import LargeFile, check_room, tell
from smd_cli.models.files import Files, NotHereError, Stored, listed
from smd_cli.references import SAFETENSORS, is_link

if TYPE_CHECKING:
    from huggingface_hub import HfUri, RepoFile

_CARD = "README.md"
_COMMIT = re.compile("[0-9a-f]{40}")
_REVISION_BEHIND = re.compile(r"(?P<path>.+\.safetensors)@(?P<revision>[^/]+)")
"""A file's path that the revision follows; the hub's own form has it after the repository."""


def go_offline() -> None:
    """Forbid the Hugging Face libraries every network access; call it before any of them is imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def open_repository(reference: str, *, offline: bool) -> Files:
    """List the files of a repository, or of what a reference names in it; nothing else is fetched.

    Args:
        reference: `owner/name[@revision][/path]`, the same after `hf://`, or the URL of a page of the hub.
        offline: look into the hub's cache alone.

    Raises:
        AssetError: no such repository, revision or file, no access to it, no hub; or not in the cache, and
            `offline`.
    """
    place = place_of(reference)
    repository = _Repository(reference, place.id, offline or _hub_is_off())
    commit = repository.commit(place.revision)
    tree = repository.tree(commit)
    files = Files(
        reference,
        tuple(tree),
        lambda names: repository.fetch(commit, [tree[name] for name in names]),
        lambda name: Stored(tree[name].size, is_here=repository.has(commit, name)),
        revision=commit,
    )
    path = place.path_in_repo.strip("/")
    if not path:
        return files
    if path in files:
        return replace(files, file=path)
    if files.has_folder(path):
        return replace(files.folder(path), reference=reference)
    weights = [name for name in files.names if name.endswith(SAFETENSORS)]
    there = f"its weights are {listed(weights)}" if weights else f"it has no {SAFETENSORS} file"
    raise AssetError(f"{reference}: {place.id} has no {path}; {there}")


def cache_folder() -> Path:
    """Return the hub's cache, as HF_HUB_CACHE and HF_HOME have it."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def repository_folder(name: str) -> str:
    """Return what the cache calls the folder of a repository of models."""
    return f"models--{name.replace('/', '--')}"


def licence_of(files: Files, *, offline: bool) -> str:
    """Return the licence that a model card names, of the cache or the hub; '' where none is known."""
    from huggingface_hub import HfApi, metadata_load

    card: Any = {}
    with suppress(AssetError, OSError, ValueError, YAMLError):
        if _CARD in files and files.look(_CARD).is_here:
            card = metadata_load(files.get(_CARD)[0]) or {}
        elif files.revision and not (offline or _hub_is_off()):
            place = place_of(files.reference)
            repository = _Repository(files.reference, place.id, offline)
            with repository.errors():
                card = HfApi().model_info(place.id, revision=files.revision).card_data or {}
    named = [card.get(key) for key in ("license_name", "license") if card.get(key)]
    first = named[0] if named else ""
    return ", ".join(map(str, first)) if isinstance(first, list) else str(first)


def with_revision(reference: str, revision: str) -> str:
    """Return a reference at a revision. Raises AssetError: it names no model of the hub, or another one."""
    place = place_of(reference)
    if place.revision is not None:
        raise AssetError(f"{reference}: names a revision already; leave out --revision {revision}")
    return _written(place, revision)


def pinned(files: Files) -> str:
    """Return a reference that leads to the same files for ever: with the commit in it."""
    return _written(place_of(files.reference), files.revision)


def _written(place: HfUri, revision: str) -> str:
    path = place.path_in_repo.strip("/")
    return f"{place.id}@{quote(revision, safe='')}{path and f'/{path}'}"


def place_of(reference: str) -> HfUri:
    """Return what a reference names. Raises AssetError: no model of the hub."""
    from huggingface_hub import parse_hf_uri
    from huggingface_hub.constants import HF_URL_HOSTS
    from huggingface_hub.errors import HfUriError

    try:
        url = urlsplit(reference)
        if url.netloc and url.scheme != "hf" and url.hostname not in HF_URL_HOSTS:
            raise AssetError(
                f"{reference}: only models of Hugging Face are fetched; download the file and give its path"
            )
        place = parse_hf_uri(reference if is_link(reference) else f"hf://models/{reference}")
    except ValueError as error:
        reason = error.msg if isinstance(error, HfUriError) else str(error)
        raise AssetError(f"{reference}: names no model of Hugging Face ({reason.strip()})") from error
    if place.type != "model":
        raise AssetError(f"{reference}: a {place.type} of Hugging Face, not a model")
    behind = _REVISION_BEHIND.fullmatch(place.path_in_repo)
    if behind and place.revision is None:
        return replace(place, revision=behind["revision"], path_in_repo=behind["path"])
    return place


@dataclass(frozen=True)
class _Repository:
    """A repository of models; `reference` is for errors. All of them are AssetErrors."""

    reference: str
    id: str
    offline: bool

    def commit(self, revision: str | None) -> str:
        """Return the commit of a revision: the hub's, else the one known when the hub was last asked."""
        from huggingface_hub import HfApi

        with self.errors():
            found = HfApi().resolve_revision(self.id, revision=revision, local_files_only=self.offline)
            if not _COMMIT.fullmatch(found.resolved):
                raise AssetError(
                    f"{self.reference}: damaged in the Hugging Face cache: "
                    f"{repository_folder(self.id)}/refs/{revision or 'main'} holds no commit but "
                    f"{found.resolved!a:.40}; remove that file"
                )
            return found.resolved

    def tree(self, commit: str) -> dict[str, RepoFile]:
        """Return all files of a commit by their names; without a list of them, those in the cache."""
        from huggingface_hub import HfApi, RepoFile, get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        with self.errors():
            try:
                return {file.path: file for file in get_cached_repo_tree(self.id, revision=commit)}
            except CachedRepoTreeNotFoundError:
                if not self.offline:
                    listed = HfApi().list_repo_tree(self.id, recursive=True, revision=commit)
                    return {each.path: each for each in listed if isinstance(each, RepoFile)}
            folder = self._snapshot(commit, ())
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {
            name: RepoFile(path=name, size=path.stat().st_size, oid="")  # type: ignore[no-untyped-call]
            for path in files
            if (name := path.relative_to(folder).as_posix())
        }

    def has(self, commit: str, name: str) -> bool:
        """Tell whether a file of a commit is in the cache."""
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(self.id, name, revision=commit), str)

    def fetch(self, commit: str, files: Sequence[RepoFile]) -> Path:
        """Fetch files that are not in the cache yet, and return the folder in which they lie there."""
        cache, folder = cache_folder(), repository_folder(self.id)
        _silence_library()
        with self.errors():
            missing = [file for file in files if not self.has(commit, file.path)]
            if not self.offline:
                check_room(sum(file.size for file in missing), cache, self.reference)
                for large in self._large(commit, missing):
                    large.fetch(cache / folder, cache / ".locks" / folder)
            root = self._snapshot(commit, [file.path for file in missing])
            for file in missing:
                tell(file.path, file.size, file.size)
            return root

    def _large(self, commit: str, files: Iterable[RepoFile]) -> Iterator[LargeFile]:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.constants import MAX_HTTP_DOWNLOAD_SIZE

        for file in files:
            if file.lfs and file.size < MAX_HTTP_DOWNLOAD_SIZE:
                url = hf_hub_url(self.id, file.path, revision=commit)
                yield LargeFile(url, file.path, file.lfs.sha256, file.size)

    def _snapshot(self, commit: str, names: Sequence[str]) -> Path:
        """Return the folder of a commit in the cache, with the files of these names."""
        from huggingface_hub import snapshot_download

        return Path(
            snapshot_download(
                self.id,
                revision=commit,
                allow_patterns=[escape(name) for name in names],
                local_files_only=self.offline or not names,
            )
        )

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say in one line what the hub, its cache or the network answered."""
        from huggingface_hub import errors

        try:
            yield
        except AssetError:
            raise
        except errors.GatedRepoError:
            raise AssetError(
                f"{self.reference}: gated on Hugging Face; accept its terms at {self._page} and set HF_TOKEN"
            ) from None
        except errors.RepositoryNotFoundError:
            raise AssetError(
                f"{self.reference}: neither a path here nor a model on Hugging Face (a private one needs "
                "HF_TOKEN)"
            ) from None
        except errors.RevisionNotFoundError:
            raise AssetError(f"{self.reference}: Hugging Face has no such revision") from None
        except errors.EntryNotFoundError as error:
            if isinstance(error, errors.LocalEntryNotFoundError):
                raise self._absent(error) from error
            raise AssetError(f"{self.reference}: a file of it is gone from Hugging Face") from error
        except (errors.LocalEntryNotFoundError, errors.RevisionResolutionError) as error:
            raise self._absent(error) from error
        except Exception as error:  # networks and disks fail in the ways of many libraries
            raise AssetError(
                f"{self.reference}: Hugging Face download failed ({_first_line(error)})"
            ) from error

    def _absent(self, error: Exception) -> NotHereError:
        if not self.offline:
            reason = _first_line(error.__cause__ or error)
            return NotHereError(
                f"{self.reference}: not in the Hugging Face cache, and the hub cannot be reached ({reason})"
            )
        return NotHereError(
            f"{self.reference}: neither a path here nor whole in the Hugging Face cache ({cache_folder()}); "
            "online, smd models pull fetches it"
        )

    @property
    def _page(self) -> str:
        from huggingface_hub.constants import ENDPOINT

        return f"{ENDPOINT}/{self.id}"


def _hub_is_off() -> bool:
    from huggingface_hub import is_offline_mode

    return is_offline_mode()


def _silence_library() -> None:
    """Keep the hub's library from drawing over this program's bars, and from telling of each new try."""
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
