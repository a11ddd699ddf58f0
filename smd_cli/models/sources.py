"""From what a user writes for a model to files on this disk; the only module that talks to the hub."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import smd_cli
from smd_cli.errors import AssetError
from smd_cli.models.weights import PICKLES

EMBEDDED = {"flatland": "flatland/weights"}
"""Names of the models that come with the package, and their folders in it."""

_HUB_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Source:
    """Files of a model on this disk.

    Attributes:
        reference: what the user wrote.
        path: a folder or a file.
        revision: the commit, for what came from the hub; '' otherwise.
    """

    reference: str
    path: Path
    revision: str = ""


def go_offline() -> None:
    """Forbid the Hugging Face libraries every network access; call it before any of them is imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def resolve(reference: str, wanted: Sequence[str], *, offline: bool) -> Source:
    """Find a model: an embedded one by name, a file, a folder, or a hub id `owner/name[@revision]`.

    Args:
        reference: what the user wrote.
        wanted: names (patterns) of the files to fetch of a hub repository; nothing else is downloaded.
        offline: look into the hub's cache alone.

    Raises:
        AssetError: nothing is there; says what was looked for and how to get it.
    """
    if reference in EMBEDDED:
        return Source(reference, Path(smd_cli.__file__).parent / EMBEDDED[reference])
    path = Path(reference).expanduser()
    if path.exists():
        return Source(reference, path)
    if path.suffix in (".safetensors", *PICKLES):
        raise AssetError(f"{reference}: no such file")
    match = _HUB_ID.fullmatch(reference)
    if match is None:
        names = ", ".join(EMBEDDED)
        raise AssetError(
            f"{reference}: no such model; give an embedded one ({names}), a diffusers folder, "
            "a .safetensors file or a Hugging Face id (owner/name)"
        )
    return _fetch(reference, match["repo"], match["revision"], wanted, offline=offline)


def _fetch(
    reference: str, repo: str, revision: str | None, wanted: Sequence[str], *, offline: bool
) -> Source:
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    try:
        folder = snapshot_download(
            repo, revision=revision, allow_patterns=list(wanted), local_files_only=offline or _hub_is_off()
        )
    except errors.GatedRepoError:
        raise AssetError(
            f"{reference}: gated on Hugging Face; accept its terms there and set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise AssetError(
            f"{reference}: neither a folder here nor a model on Hugging Face (a private one needs HF_TOKEN)"
        ) from None
    except errors.RevisionNotFoundError:
        raise AssetError(f"{reference}: Hugging Face has no such revision") from None
    except errors.LocalEntryNotFoundError as error:
        raise AssetError(_absent(reference, error, offline=offline or _hub_is_off())) from error
    except Exception as error:  # networks and disks fail in the ways of many libraries
        raise AssetError(f"{reference}: Hugging Face download failed ({_first_line(error)})") from error
    path = Path(folder)
    return Source(reference, path, path.name)


def _hub_is_off() -> bool:
    from huggingface_hub import is_offline_mode

    return is_offline_mode()


def _absent(reference: str, error: Exception, *, offline: bool) -> str:
    if not offline:
        reason = _first_line(error)
        return f"{reference}: not in the Hugging Face cache, and the hub cannot be reached ({reason})"
    from huggingface_hub.constants import HF_HUB_CACHE

    return (
        f"{reference}: neither a folder here nor whole in the Hugging Face cache ({HF_HUB_CACHE}), "
        "and offline; run once without --offline"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
