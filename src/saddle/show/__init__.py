"""Pictures: grids, plots, animations. Arrays in, pictures out."""
