"""All benchmarks, one after the other."""

from benchmarks import kill_drill, planning, serving

if __name__ == "__main__":
    serving.main()
    planning.main()
    kill_drill.main()
