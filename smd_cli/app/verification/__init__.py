"""Verifying pictures: what is recorded of them is rendered again, compared and judged."""
