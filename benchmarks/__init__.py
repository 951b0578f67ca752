"""What the figures in docs/figures.md come from: `python -m benchmarks NAME`."""
