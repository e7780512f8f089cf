"""What captions give a ranker, on MovieLens-100K and its posters: `python -m benchmarks.lift --help`."""
