"""Cost of one turn with random weights: ``python -m benchmarks.random_weights.run``, from the repository root."""
