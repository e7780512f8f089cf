"""All benchmarks, one after the other."""

from benchmarks import featurising, kill_drill, planning, serving

if __name__ == "__main__":
    featurising.main([])
    serving.main()
    planning.main()
    kill_drill.main()
