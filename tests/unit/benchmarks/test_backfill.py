"""The backfill benchmark keeps what is tested apart from what is learned; its page says what was reached."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.backfill import galleries, omniglot, page, summary
from benchmarks.backfill.protocol import Results
from fathom.backfill import METHODS
from fathom.backfill.curves import BETAS


def drawings(folder: Path) -> Path:
    """Write two archives of an alphabet each and one that both have, of two characters by two people."""
    for number, own in ((1, "Balinese"), (2, "Tagalog")):
        with zipfile.ZipFile(folder / f"images_background_small{number}.zip", "w") as archive:
            for alphabet in (own, "Greek"):
                for character in (1, 2):
                    for person in (1, 2):
                        picture = Image.new("L", (105, 105), 255)
                        picture.paste(0, (0, 0, 105, 10 * character))
                        path = folder / "drawing.png"
                        picture.save(path)
                        name = f"x/{alphabet}/character{character:02}/0001_{person:02}.png"
                        archive.write(path, name)
    return folder


class TestOmniglot:
    def test_a_character_that_is_in_both_archives_counts_once(self, tmp_path: Path) -> None:
        found = omniglot.read(drawings(tmp_path))
        assert found.shape == (6, 2, omniglot.SIDE, omniglot.SIDE)
        assert found.min() == 0
        assert found.max() == 1

    def test_an_archive_that_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match=r"images_background_small1\.zip: not there"):
            omniglot.read(tmp_path)

    def test_nothing_that_is_tested_is_learned_from(self) -> None:
        # Each drawing is filled with its own number.
        numbers = np.arange(242 * 20, dtype=np.float32).reshape(242, 20, 1, 1)
        made = omniglot.split(np.broadcast_to(numbers, (242, 20, 2, 2)).repeat(8, 2).repeat(8, 3), seed=3)
        parts = [made.training, made.validation, made.test, made.unseen_validation, made.unseen_test]
        drawn = [set(part.pictures[:, 0, 0, 0].tolist()) for part in parts]
        assert sum(map(len, drawn)) == len(set().union(*drawn)) == 242 * 20
        known = set(made.training.labels.tolist())
        assert known == set(made.validation.labels.tolist()) == set(made.test.labels.tolist())
        assert not known & set(made.unseen_test.labels.tolist())
        assert set(made.old.tolist()) < known
        assert len(made.old) == len(known) // 2

    def test_draws_differ_by_their_seed(self) -> None:
        blank = np.zeros((242, 20, omniglot.SIDE, omniglot.SIDE), np.float32)
        one, two, again = (omniglot.split(blank, seed).old for seed in (0, 1, 0))
        assert (one == again).all()
        assert (one != two).any()


class TestGalleries:
    def test_posters_of_one_genre(self, tmp_path: Path) -> None:
        root = tmp_path / "movielens-posters"
        (root / "p").mkdir(parents=True)
        for name in ("1", "2", "3"):
            Image.new("RGB", (4, 6)).save(root / "p" / f"{name}.jpg")
        rows = ["1,A,Drama,p/1.jpg", "2,B,Drama|Comedy,p/2.jpg", "3,C,Comedy,p/3.jpg", "4,D,Drama,p/4.jpg"]
        (root / "movies.csv").write_text("\n".join(["ml1m_movie_id,title,genres,poster", *rows]))
        found = galleries.posters(tmp_path)
        assert found.names == ["1.jpg", "3.jpg"]
        assert found.labels is not None
        assert found.labels.tolist() == [1, 0]

    def test_photographs_belong_to_those_with_similar_captions(self) -> None:
        texts = ["a dog runs on grass", "a dog on the grass", "boats in a harbour", "a harbour with boats"]
        assert galleries.neighbours(texts, k=1).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]

    def test_cifar_100s_binary_rows(self, tmp_path: Path) -> None:
        (tmp_path / "cifar-100-binary").mkdir()
        row = bytes([4, 42]) + bytes([255] * 1024 + [0] * 2048)
        (tmp_path / "cifar-100-binary" / "test.bin").write_bytes(row * 3)
        found = galleries.cifar100(tmp_path)
        assert found.labels is not None
        assert found.labels.tolist() == [42, 42, 42]
        assert found.open(1).getpixel((5, 7)) == (255, 0, 0)

    def test_market_1501_without_its_distractors(self, tmp_path: Path) -> None:
        root = tmp_path / "Market-1501" / "bounding_box_test"
        root.mkdir(parents=True)
        for name in (
            "0002_c1s1_1.jpg",
            "0002_c2s1_2.jpg",
            "0007_c1s1_3.jpg",
            "0000_c1s1_4.jpg",
            "-1_c1s1_5.jpg",
        ):
            (root / name).touch()
        found = galleries.market1501(tmp_path)
        assert found.labels is not None
        assert found.labels.tolist() == [0, 0, 1]

    def test_class_folders(self, tmp_path: Path) -> None:
        for name in ("abbey/1.jpg", "abbey/2.jpg", "zoo/1.png", "zoo/readme.txt"):
            (tmp_path / "places365" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "places365" / name).touch()
        found = galleries.LOADERS["places365"](tmp_path)
        assert found.labels is not None
        assert found.labels.tolist() == [0, 0, 1]

    @pytest.mark.parametrize("name", sorted(galleries.LOADERS))
    def test_what_is_not_there_is_said(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(SystemExit, match="not there; --data names the folder"):
            galleries.LOADERS[name](tmp_path)


def row(method: str, seed: int, gain: float, flips: float = 0.02) -> dict[str, object]:
    """Return a run in which mAP rises in a line from .4 to .6 and the area gains `gain`."""
    values = [0.4 + 0.2 * beta for beta in BETAS]
    trial = {"betas": list(BETAS), "flips": [flips] * 11}
    for figure in ("map", "cmc1", "cmc5", "recall"):
        trial |= {
            figure: values, f"old_{figure}": 0.4, f"new_{figure}": 0.6, f"area_{figure}": 0.4 + 0.2 * gain,
            f"gain_{figure}": gain, f"drop_{figure}": 0.0,
        }  # fmt: skip
    return {"data": "Omniglot", "seed": seed, "method": method, "seconds": 1.0, "unseen characters": trial}


class TestPage:
    def table(self, folder: Path, *rows: dict[str, object]) -> summary.Table:
        results = Results(folder / "results.jsonl")
        for found in rows:
            results.add(found)
        return summary.tables(results, [("Omniglot", "unseen characters"), ("Omniglot", "never run")])[0]

    def text(self, folder: Path, table: summary.Table) -> str:
        page.write(folder, [table], {"Omniglot": "Drawings."})
        return (folder / page.NAME).read_text()

    def test_what_is_measured_is_read_again(self, tmp_path: Path) -> None:
        Results(tmp_path / "r.jsonl").add(row("CutOver", 0, 0.05))
        again = Results(tmp_path / "r.jsonl")
        assert again.has("Omniglot", 0, "CutOver")
        assert not again.has("Omniglot", 1, "CutOver")
        assert json.loads((tmp_path / "r.jsonl").read_text())["method"] == "CutOver"

    def test_the_interval_is_students(self, tmp_path: Path) -> None:
        found = self.table(tmp_path, row("RankMerge", 0, 0.3), row("RankMerge", 1, 0.5)).lines[0]
        # Two values 0.2 apart: standard error 0.1, t of one degree of freedom 12.706.
        assert (found.gain.mean, found.gain.half) == pytest.approx((0.4, 1.2706))

    def test_the_gain_is_told_against_the_methods_own_end_too(self, tmp_path: Path) -> None:
        run = row("MetricCompatible", 0, 0.9)
        run["unseen characters"]["map"][-1] = 0.7  # type: ignore[index]
        found = self.table(tmp_path, run).lines[0]
        # The area is .58: .18 of the .2 to the new model, of the .3 to what it ends with.
        assert (found.gain.mean, found.own.mean) == pytest.approx((0.9, 0.6))

    def test_goals_that_are_reached(self, tmp_path: Path) -> None:
        rows = [
            row("MetricCompatible", 0, 0.8),
            row("RankMerge", 0, 0.3),
            row("NaiveMerge", 0, 0.1, flips=0.2),
        ]
        told = self.text(tmp_path, self.table(tmp_path, *rows))
        assert "the goal of 0.50 is reached" in told
        assert "RankMerge, 0.300; it is beaten" in told
        assert "below naive merge's at every β" in told

    def test_goals_that_are_missed(self, tmp_path: Path) -> None:
        rows = [
            row("MetricCompatible", 0, 0.2),
            row("RankMerge", 0, 0.3),
            row("NaiveMerge", 0, 0.1, flips=0.01),
        ]
        told = self.text(tmp_path, self.table(tmp_path, *rows))
        assert "the goal of 0.50 is **missed**" in told
        assert "it is **not beaten**" in told
        assert "**above naive merge's** at β = 0, 0.1" in told

    def test_what_transforms_the_gallery_first_is_no_rival(self, tmp_path: Path) -> None:
        rows = [row("MetricCompatible", 0, 0.5), row("RankMerge", 0, 0.3), row("ForwardTransform", 0, 0.9)]
        assert "RankMerge, 0.300; it is beaten" in self.text(tmp_path, self.table(tmp_path, *rows))

    def test_every_method_has_its_cost_on_the_page(self, tmp_path: Path) -> None:
        told = self.text(tmp_path, self.table(tmp_path, row("CutOver", 0, 0.05)))
        costs = told.partition("## What each method costs")[2]
        assert all(f"| {name} |" in costs for name in METHODS)

    def test_the_plot_shows_the_methods_that_were_measured(self, tmp_path: Path) -> None:
        self.text(tmp_path, self.table(tmp_path, row("CutOver", 0, 0.05), row("RankMerge", 0, 0.3)))
        drawn = (tmp_path / "backfill-omniglot-unseen-characters.svg").read_text()
        assert drawn.count("<polyline") == 2
        assert "RankMerge" in drawn
