"""Online backfilling, measured; `python -m benchmarks.backfill`."""
