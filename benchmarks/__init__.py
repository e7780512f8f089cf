"""What our performance claims are measured with: `python -m benchmarks`, or one by its module's name."""
