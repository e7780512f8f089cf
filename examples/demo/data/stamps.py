"""Pictures that anyone may see: Debian's tuxpaint-stamps with human labels; the people are simulated."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
from PIL import Image, ImageOps

from demo.data import simulate
from demo.data.tables import DataError, Description, Tables

PACKAGE = "tuxpaint-stamps-default"
_PLACE = Path("usr/share/tuxpaint/stamps")
_SIDE = 224
_SEED = 7

ABOUT = Description(
    name="stamps",
    title="Tux Paint stamps with simulated people",
    items_are="pictures",
    simulated=True,
    about_interactions="SIMULATED: no real person is behind them. Made from stated tastes for kinds of "
    "pictures, from popularity and from chance (examples/demo/data/simulate.py).",
    about_captions="Learned from human labels of one half of the pictures; the other half is what is ranked. "
    "Held-out pairs are other views of pictures that were learned, so their loss flatters.",
    terms="Tux Paint stamps, GPL-2 and other free licences, from Debian.",
)


@dataclass(frozen=True)
class Stamp:
    """A picture, the shelf it lies on (`animals`, `birds`) and what a human said it shows."""

    file: Path
    shelf: tuple[str, ...]
    label: str

    @property
    def caption(self) -> str:
        """What the captioner learns to say: the shelf, then the label."""
        return f"{', '.join(self.shelf)}: {self.label.rstrip('.').lower()}"


def make() -> tuple[Tables, Description]:
    """Return the labelled pictures, half to learn captions from, half to rank, and simulated people.

    Raises:
        DataError: the package cannot be had.
    """
    with tempfile.TemporaryDirectory() as temporary:
        stamps = _stamps(_download(Path(temporary)))
        learn, rank = _halves(stamps)
        users, interactions = simulate.people([s.shelf for s in rank], seed=_SEED)
        return Tables(_items(rank), users, interactions, _pairs(learn)), ABOUT


def _download(folder: Path) -> Path:
    if not shutil.which("apt-get"):
        raise DataError(
            f"The demo's pictures come from Debian's package {PACKAGE}, and there is no apt-get here. "
            "Run it on Debian or Ubuntu, or give it MovieLens posters: FATHOM_DATA=FOLDER make demo"
        )
    # Twice: a fresh machine has no package lists yet. As the caller: `_apt` may not write here.
    get = ["apt-get", "download", "-o", "APT::Sandbox::User=root", PACKAGE]
    if subprocess.run(get, cwd=folder, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
        done = subprocess.run(get, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DataError(f"{' '.join(get)} failed: {done.stderr.strip()}; is the Debian mirror reachable?")
    archive = next(folder.glob("*.deb"))
    subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=folder, check=True)
    return folder / _PLACE


def _stamps(root: Path) -> list[Stamp]:
    """Return the labelled pictures; glyphs are left out: a letter is nothing one can like."""
    found: list[Stamp] = []
    for file in sorted(root.rglob("*.png")):
        shelf = tuple(p.replace("_", " ") for p in file.relative_to(root).parts[:-1] if p != "cartoon")
        label = file.with_suffix(".txt")
        if shelf[0] != "symbols" and label.is_file():
            text = label.read_text(encoding="utf-8").splitlines()[0].strip()
            found.append(Stamp(file, shelf[:2], text))
    return found


def _halves(stamps: Sequence[Stamp]) -> tuple[list[Stamp], list[Stamp]]:
    """Deal the pictures of each shelf in turn: each half knows every shelf of two pictures or more."""
    learn: list[Stamp] = []
    rank: list[Stamp] = []
    for _, shelf in groupby(sorted(stamps, key=lambda s: s.shelf), key=lambda s: s.shelf):
        for place, stamp in enumerate(shelf):
            (rank if place % 2 else learn).append(stamp)
    return learn, rank


def _items(stamps: Sequence[Stamp]) -> pa.Table:
    return pa.table(
        {
            "item_id": [simulate.item_id(n) for n in range(len(stamps))],
            "image": pa.array([_jpeg(_picture(s.file)) for s in stamps], pa.binary()),
            "title": [s.label for s in stamps],
            "year": pa.array([None] * len(stamps), pa.int32()),
            "genres": ["|".join(s.shelf) for s in stamps],
        }
    )


def _pairs(stamps: Sequence[Stamp]) -> pa.Table:
    """Return each picture as it is, mirrored, turned and nearer: there are few, each view teaches."""
    views = [(s.caption, view) for s in stamps for view in _views(_picture(s.file))]
    return pa.table(
        {
            "image": pa.array([_jpeg(view) for _, view in views], pa.binary()),
            "caption": [caption for caption, _ in views],
        }
    )


def _views(picture: Image.Image) -> list[Image.Image]:
    nearer = ImageOps.crop(picture, border=min(picture.size) // 10)
    turned = picture.rotate(12, fillcolor="white", expand=True)
    return [picture, ImageOps.mirror(picture), nearer, ImageOps.mirror(turned)]


def _picture(file: Path) -> Image.Image:
    with Image.open(file) as opened:
        stamp = opened.convert("RGBA")
    stamp.thumbnail((_SIDE, _SIDE))
    paper = Image.new("RGBA", (_SIDE, _SIDE), "white")
    paper.alpha_composite(stamp, ((_SIDE - stamp.width) // 2, (_SIDE - stamp.height) // 2))
    return paper.convert("RGB")


def _jpeg(picture: Image.Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=88)
    return held.getvalue()
