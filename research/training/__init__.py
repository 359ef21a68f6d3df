"""Training of the bundled model's parts: one loop, one task a part."""
