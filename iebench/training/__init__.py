"""Training: the loop, its schedule, checkpoints, run folder, logs and processes."""
