"""A training process that ends at once, with the exit code that a file in its folder names."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.exit(int((Path(sys.argv[1]) / "code").read_text()))
