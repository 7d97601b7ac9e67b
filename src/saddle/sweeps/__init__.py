"""Searches over settings: many runs of one recipe, and which settings score best."""
