"""What ComfyUI sees. Each file holds one topic's nodes: a schema and one call into the core."""
