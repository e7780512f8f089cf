"""What the kill drills share: how they say what was found."""

from __future__ import annotations

import sys
from typing import NoReturn

#: What was looked at, what was found, and whether that is as it should be.
Found = list[tuple[str, object, bool]]


def tell(found: Found) -> NoReturn:
    """Print a table of what was found and end, with an error if anything is not as it should be."""
    print("| | | as it should be |")
    print("| --- | ---: | --- |")
    for name, value, good in found:
        print(f"| {name} | {value} | {'yes' if good else 'NO'} |")
    sys.exit(0 if all(good for *_, good in found) else 1)
