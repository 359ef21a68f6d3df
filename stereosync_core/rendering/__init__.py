"""Sound from motion: footsteps in time with a walker, and any sound placed where its object is."""
