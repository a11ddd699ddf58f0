"""The files of a captioner, and what is known of it without torch."""

CAPTIONER = "blip"
"""The `model_type` in a captioner's config."""
