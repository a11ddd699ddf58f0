"""Training of the embedded model: `python -m smd_cli.flatland.train` makes its weights from nothing."""
