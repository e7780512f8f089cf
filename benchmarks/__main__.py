"""All benchmarks, one after the other."""

from benchmarks import featurising, kill_drill, planning, serving

if __name__ == "__main__":
    featurising.main([])
from benchmarks import captioning, serving
    captioning.main()
    serving.main()
    planning.main()
    kill_drill.main()
