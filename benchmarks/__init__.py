"""Measurements behind the figures in README: run as `python -m benchmarks.<name>`."""
