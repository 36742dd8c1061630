"""What each ingredient of the simulator buys: short trainings without it."""
