"""Using what was trained: load, sample, walk, invert, classify, write to files."""
