"""A world of flat illustrations with captions, drawn by Pillow from a seed."""

from smd_cli.workshop.world.picture import Picture, draw_picture

__all__ = ["Picture", "draw_picture"]
