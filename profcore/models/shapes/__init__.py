"""A small MolmoE that is trained here on drawn pictures: its shape, its tokenizer and its training."""
