"""From causes to recommendations, one module a knob. Pure."""
