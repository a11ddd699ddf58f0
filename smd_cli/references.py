"""How references to files of models look, as users write them: paths, names, and places on the hub."""

import re

SAFETENSORS = ".safetensors"
PICKLES = (".ckpt", ".pt", ".pth", ".bin", ".pkl")
WEIGHTS = (SAFETENSORS, *PICKLES)
"""Endings of files of weights; pickles are recognised to be refused."""

HUB_PAGES = ("huggingface.co/", "hf.co/")
"""How the hub's pages begin where the scheme is left out."""

_LINK = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_HUB_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@[^/]+)?(?P<path>/.+)?", re.DOTALL)


def is_link(text: str) -> bool:
    """Tell whether a reference is an URL, an `hf://` one among them, or a page of the hub without scheme."""
    return _LINK.match(text) is not None or text.startswith(HUB_PAGES)


def is_hub_id(text: str) -> bool:
    """Tell whether a reference can be `owner/name[@revision][/path]`; a relative path can look like it too.

    A file of weights in one folder, `loras/style.safetensors`, is not: a repository has an owner and a name.
    """
    match = _HUB_ID.fullmatch(text)
    return match is not None and (match["path"] is not None or not match["repo"].endswith(WEIGHTS))


def is_path(text: str) -> bool:
    """Tell whether a reference can be nothing but a path."""
    if is_link(text):
        return False
    return text.startswith(("/", "./", "../", "~")) or (text.endswith(WEIGHTS) and not is_hub_id(text))
