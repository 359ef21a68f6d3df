"""Walking rooms: clips out of a game engine with the truth attached, made, stored and read."""
