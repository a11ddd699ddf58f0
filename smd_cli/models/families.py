"""Families by name: their modules are imported when they are asked for."""

from importlib import import_module

from smd_cli.families import FAMILIES
from smd_cli.models.family import Family


def family(name: str) -> Family:
    """Return the family of that name, a key of `FAMILIES`; its module is imported only now."""
    found: Family = import_module(FAMILIES[name]).FAMILY
    return found


def all_families() -> tuple[Family, ...]:
    """Return every family of the table, in its order."""
    return tuple(family(name) for name in FAMILIES)
