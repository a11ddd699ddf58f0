"""The engine: a resolved scene and a backbone in, pictures and typed events out. Knows no terminal."""
