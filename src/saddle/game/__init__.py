"""The game: losses, penalties, and the rules of what D and G are scored on."""
