"""Recorded sounds: the bundled library, a user's folder read the same way, and how a recording becomes one-shots and loops."""
