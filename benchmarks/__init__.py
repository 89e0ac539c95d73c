"""What README and docs/numbers.md say, measured: run as `python -m benchmarks.<name>`."""
