"""Video and sound in and out, by PyAV: everything streams, and every time is in seconds from the clip's first frame."""
