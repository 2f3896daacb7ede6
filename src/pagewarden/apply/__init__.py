"""Changing settings: planned before, verified against the kernel after, undone by itself where that fails."""
