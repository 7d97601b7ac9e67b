"""The run folder: its layout, and what is read back from it."""
