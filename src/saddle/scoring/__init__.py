"""Scores: which measures there are, what they are computed from, and how a generator is scored."""
