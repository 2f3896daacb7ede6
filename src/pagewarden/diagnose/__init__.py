"""From reports and snapshots to named causes with their evidence. Pure."""
