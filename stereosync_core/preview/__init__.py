"""Pictures of what the pack sees and hears: depth, boxes and ids over the clip, and place and level over time."""
