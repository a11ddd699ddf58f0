"""Bundles: a scene and the files that it names in one zip file, which stands for the scene everywhere."""
