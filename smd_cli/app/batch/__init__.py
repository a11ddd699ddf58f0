"""Batches: many scenes, seeds and settings to pictures and streams, in this process or in others."""
