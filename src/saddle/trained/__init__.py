"""Use what was trained: load it, sample, walk, invert, classify, write to files."""
