"""What drives a sound besides the scene: loudness over time."""
