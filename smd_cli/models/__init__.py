"""Diffusion models behind one interface: found, checked, loaded, and asked through `Backbone`."""
