"""Published tables as data, and how they are run again."""
