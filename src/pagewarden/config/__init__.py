"""The configuration: files in, checked values and where each came from out."""
