"""The method itself, in pure tensor functions: latents, masks and a `predict` callable in, a latent out.

The core knows torch and nothing else: no scene, no model class, no prompt text, no file. Everything is
counted in latent pixels unless a name says px, and every value handed over is immutable.
"""
