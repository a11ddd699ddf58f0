"""From a scene to its pictures: open, plan, render, stream. Knows no terminal; the Python API is in here."""
