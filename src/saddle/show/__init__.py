"""Pictures: grids, animations, plots and the report. They are drawn from arrays, log entries and files; no torch."""
