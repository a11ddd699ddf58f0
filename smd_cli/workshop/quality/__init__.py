"""How good the pictures are: random region scenes, painted in several ways and judged."""
