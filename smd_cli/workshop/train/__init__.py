"""The training of flatland: `python -m smd_cli.workshop.train` trains all of its networks from scratch."""
