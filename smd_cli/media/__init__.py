"""Pictures: opening, mask painting, recipes, safe writing. Knows Pillow, no tensors."""
