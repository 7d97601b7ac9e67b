"""Is a run well? Rules over its log, which tell of collapse early and in plain words."""
