"""Training of the embedded model: `python -m smd_cli.workshop.train` makes its weights from nothing."""
