"""The table of families. A new family is one line here and one module beside it that defines `FAMILY`."""

from collections.abc import Mapping
from importlib import import_module

from smd_cli.models.family import Family

FAMILIES: Mapping[str, str] = {"sd15": "smd_cli.models.sd15"}
"""Names of the families that this program can run, and their modules."""


def family(name: str) -> Family:
    """Return the family of that name, a key of `FAMILIES`; its module is imported only now."""
    found: Family = import_module(FAMILIES[name]).FAMILY
    return found


def all_families() -> tuple[Family, ...]:
    """Return every family of the table, in its order."""
    return tuple(family(name) for name in FAMILIES)
