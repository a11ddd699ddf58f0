"""The workshop of the embedded model: the world it learns, its training, its judge and the quality benchmark.

Nothing else in the package imports it, and wheels leave it out; it comes with a checkout of the repository.
"""
