"""Training: the loop, the players, how a round is executed, checkpoints, the record, health."""
