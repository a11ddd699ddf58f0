"""Files of Hugging Face repositories; the only module that talks to the hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from smd_cli.errors import AssetError
from smd_cli.models.files import Files, NotHereError, listed
from smd_cli.references import SAFETENSORS, is_link

if TYPE_CHECKING:
    from huggingface_hub import HfUri

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
    place = _parse(reference)
    repository = _Repository(reference, place.id, offline or _hub_is_off())
    commit = repository.commit(place.revision)
    files = Files(
        reference, repository.names(commit), lambda names: repository.fetch(commit, names), revision=commit
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


def _parse(reference: str) -> HfUri:
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

        with self._errors():
            return (
                HfApi().resolve_revision(self.id, revision=revision, local_files_only=self.offline).resolved
            )

    def names(self, commit: str) -> tuple[str, ...]:
        """Return the names of all files of a commit; without a list of them, of those in the cache."""
        from huggingface_hub import HfApi, get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError

        with self._errors():
            try:
                return tuple(file.path for file in get_cached_repo_tree(self.id, revision=commit))
            except CachedRepoTreeNotFoundError:
                if not self.offline:
                    return tuple(HfApi().list_repo_files(self.id, revision=commit))
        folder = self.fetch(commit, ())
        paths = (path for path in folder.rglob("*") if path.is_file())
        return tuple(sorted(path.relative_to(folder).as_posix() for path in paths))

    def fetch(self, commit: str, names: Sequence[str]) -> Path:
        """Fetch files that are not in the cache yet, and return the folder in which they lie there."""
        from huggingface_hub import snapshot_download, try_to_load_from_cache
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # they would draw over this program's
        with self._errors():
            missing = [
                name
                for name in names
                if not isinstance(try_to_load_from_cache(self.id, name, revision=commit), str)
            ]
            return Path(
                snapshot_download(
                    self.id,
                    revision=commit,
                    allow_patterns=[escape(name) for name in missing],
                    local_files_only=self.offline or not missing,
                )
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in one line what the hub, its cache or the network answered."""
        from huggingface_hub import errors

        try:
            yield
        except errors.GatedRepoError:
            raise AssetError(
                f"{self.reference}: gated on Hugging Face; accept its terms there and set HF_TOKEN"
            ) from None
        except errors.RepositoryNotFoundError:
            raise AssetError(
                f"{self.reference}: neither a path here nor a model on Hugging Face (a private one needs "
                "HF_TOKEN)"
            ) from None
        except errors.RevisionNotFoundError:
            raise AssetError(f"{self.reference}: Hugging Face has no such revision") from None
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
        from huggingface_hub.constants import HF_HUB_CACHE

        return NotHereError(
            f"{self.reference}: neither a path here nor whole in the Hugging Face cache ({HF_HUB_CACHE}); "
            "rendering without --offline fetches it"
        )


def _hub_is_off() -> bool:
    from huggingface_hub import is_offline_mode

    return is_offline_mode()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
