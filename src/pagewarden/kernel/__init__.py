"""The kernel's arithmetic, pure, by kernel version. No I/O, no clock, no logging."""
