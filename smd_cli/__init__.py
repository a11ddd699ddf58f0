"""smd: pictures composed region by region with few-step diffusion."""

__version__ = "0.1.0"
