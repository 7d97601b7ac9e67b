"""The game: batches, losses, penalties, and what G and D are scored on."""
