"""Data sets by name, and known distributions of points."""
