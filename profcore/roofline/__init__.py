"""FLOPs, bytes and floors by formula, from a model's shape and a device's ceilings; needs no torch."""
