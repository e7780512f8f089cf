"""All benchmarks, one after the other."""

from benchmarks import serving

if __name__ == "__main__":
    serving.main()
