"""Runs in one process, which share the embedded model."""

from tests.embedded import embedded_once

__all__ = ["embedded_once"]
