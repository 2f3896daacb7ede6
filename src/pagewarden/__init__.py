"""pagewarden: the Linux page allocator, watched, explained and tuned with the kernel's own arithmetic."""

__version__ = "0.1.0"
