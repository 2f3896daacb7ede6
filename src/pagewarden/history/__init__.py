"""What was seen, on disk, bounded: the service writes it, the commands only read."""
