"""Networks: one file a family, the parts they share, and the two sides of the game."""
