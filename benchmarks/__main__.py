"""All benchmarks, one after the other."""

from benchmarks import captioning, featurising, kill_drill, planning, serving

if __name__ == "__main__":
    captioning.main()
    featurising.main([])
    serving.main()
    planning.main()
    kill_drill.main()
