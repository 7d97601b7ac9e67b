"""Metrics: pure functions on features or points, the extractors that see the features, and named protocols."""
