"""All benchmarks, one after the other."""

from benchmarks import featurising, serving

if __name__ == "__main__":
    featurising.main([])
    serving.main()
