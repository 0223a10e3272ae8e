"""Goes on PYTHONPATH of the programs to be sampled."""
