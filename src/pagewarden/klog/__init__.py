"""Kernel log lines: where they come from, their prefixes, and the memory reports among them."""
