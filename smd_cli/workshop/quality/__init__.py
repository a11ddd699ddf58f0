"""The quality benchmark: render random region scenes with several methods and score the pictures."""
