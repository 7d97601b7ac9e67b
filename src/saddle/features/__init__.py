"""Feature extractors: what metrics compare samples by."""
