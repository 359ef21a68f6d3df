"""What makes and measures the models: rooms, training, comparison of systems, benches.

Never imported by the pack or its library.
"""
