"""Locks: files that hold which pictures scenes make, and of what, so that changes are noticed."""
