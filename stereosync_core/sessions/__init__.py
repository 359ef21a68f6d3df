"""Sessions: a scene handed over to other programs, with the dry sounds, where they go and what happens when."""
