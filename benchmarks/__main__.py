"""All benchmarks, one after the other."""

from benchmarks import captioning, serving

if __name__ == "__main__":
    captioning.main()
    serving.main()
