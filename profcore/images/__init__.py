"""A picture opened, cut and tiled, by one geometry; needs no torch."""
