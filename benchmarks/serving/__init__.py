"""Load test of a running server: ``python -m benchmarks.serving.run --help``, from the root of the repository."""
