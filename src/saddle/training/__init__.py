"""Training: the loop, what it moves, how a round is executed, checkpoints, the record, health."""
