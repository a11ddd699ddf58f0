"""flatland: the embedded model, from the world it is trained on to the weights that ship."""
