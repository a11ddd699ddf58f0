"""flatland, the embedded model: a folder of weights. `smd_cli.workshop` trains them."""
