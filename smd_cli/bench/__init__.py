"""Benchmarks behind `smd bench`: the same picture by this program and by others, side by side."""
