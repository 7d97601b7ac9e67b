"""Metrics: pure functions of features or points."""
