"""Kernel files: bytes in, typed values out. One module a file, named for it; `snapshot` joins them."""
