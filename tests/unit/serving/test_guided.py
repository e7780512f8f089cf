"""Guided answers: some slots lead to interests the user has not met, and say why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.tables import make_table, publish
from fastapi.testclient import TestClient

from fathom.ranking.scorer import Bundle, load
from fathom.serving.command import predictor
from fathom.serving.guides import Guides
from fathom.serving.guiding import Guiding
from fathom.serving.predictor import Predictor
from fathom.serving.scoring import Scorer
from fathom.serving.server import Server
from fathom_api.interests import Explore
from fathom_api.tasks import ServeTask

PREDICT = "/v1/models/movies:predict"


@pytest.fixture
def guided(folder: Path, tmp_path: Path) -> Iterator[tuple[TestClient, Predictor]]:
    """A server that guides by a table: cluster of item n is n mod 4."""
    model = predictor(ServeTask(bundle=str(folder), model_name="movies", model_version="v-guided"))
    make_table(tmp_path / "t-1")
    publish(tmp_path / "current", tmp_path / "t-1")
    guides = Guides(model.scorer, str(tmp_path / "current"))
    assert guides.look()
    with TestClient(Server(model, 8080).wired(), raise_server_exceptions=False) as client:
        yield client, model


def ask(client: TestClient, **instance: Any) -> dict[str, Any]:
    answer = client.post(PREDICT, json={"instances": [instance]})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"][0]


def cluster(item: str) -> int:
    return int(item[1:]) % 4


def test_a_share_of_the_slots_leads_where_the_user_has_not_been_and_says_why(
    guided: tuple[TestClient, Predictor],
) -> None:
    # Liked space, then horror: the pair leads to ponies.
    answer = ask(guided[0], history=["i1", "i0"], k=10)
    led = [(item, why) for item, why in zip(answer["item_ids"], answer["why"], strict=True) if why]
    assert len(led) == 2
    for item, why in led:
        assert cluster(item) == 2
        assert why["interest"] == "ponies"
        assert sorted(why["because"]) == ["horror", "space"]
        assert why["reason"].endswith("→ ponies")


def test_what_leads_there_is_the_best_of_it_by_the_ranker(
    guided: tuple[TestClient, Predictor], bundle: Bundle
) -> None:
    answer = ask(guided[0], history=["i1", "i0"], k=10)
    led = [item for item, why in zip(answer["item_ids"], answer["why"], strict=True) if why]
    every = ask(guided[0], history=["i1", "i0"], k=40, explore=False)
    assert led == [item for item in every["item_ids"] if cluster(item) == 2][:2]


def test_the_other_slots_are_the_rankers_own_in_its_order(guided: tuple[TestClient, Predictor]) -> None:
    answer = ask(guided[0], history=["i1", "i0"], k=10)
    plain = ask(guided[0], history=["i1", "i0"], k=10, explore=False)
    assert "why" not in plain
    own = [item for item, why in zip(answer["item_ids"], answer["why"], strict=True) if not why]
    led = {item for item, why in zip(answer["item_ids"], answer["why"], strict=True) if why}
    assert own == [item for item in plain["item_ids"] if item not in led][: len(own)]
    assert len({*answer["item_ids"]}) == 10


@pytest.mark.parametrize(
    ("instance", "why_not"),
    [
        pytest.param({"user_id": "nobody", "k": 10}, "nothing is known of the user", id="no history"),
        pytest.param({"history": ["i1", "i0"], "k": 10, "explore": False}, "the caller said no", id="off"),
        pytest.param(
            {"history": ["i1", "i0"], "k": 10, "explored": 3}, "as many were shown as may be", id="cap"
        ),
        pytest.param(
            {"history": [f"i{n}" for n in range(8)], "k": 10}, "every interest is met", id="all met"
        ),
        pytest.param(
            {"history": ["i1", "i0"], "candidates": ["i4", "i8"], "k": 2},
            "no candidate is of that interest",
            id="candidates",
        ),
        pytest.param({"history": ["i1", "i0"], "k": 2}, "a fifth of two slots is none", id="few slots"),
        pytest.param({"history": ["i1", "i0"], "candidates": ["i2", "i4"]}, "no k, no slots", id="no k"),
    ],
)
def test_the_rankers_own_answer_stands_where(
    guided: tuple[TestClient, Predictor], instance: dict[str, Any], why_not: str
) -> None:
    answer = ask(guided[0], **instance)
    assert "why" not in answer, why_not


def test_one_interest_alone_leads_on_too(guided: tuple[TestClient, Predictor]) -> None:
    answer = ask(guided[0], history=["i0"], k=10)
    assert {why["interest"] for why in answer["why"] if why} == {"horror"}


def test_a_user_that_the_bundle_knows_need_not_tell_their_history(
    guided: tuple[TestClient, Predictor],
) -> None:
    # u0 has liked i1, then i0.
    assert {why["interest"] for why in ask(guided[0], user_id="u0", k=10)["why"] if why} == {"ponies"}


def test_candidates_stay_the_only_ones(guided: tuple[TestClient, Predictor]) -> None:
    candidates = [f"i{n}" for n in range(20)]
    answer = ask(guided[0], history=["i1", "i0"], candidates=candidates, k=10)
    assert {*answer["item_ids"]} <= {*candidates}
    assert sum(why is not None for why in answer["why"]) == 2


def test_what_was_liked_already_is_not_led_to(guided: tuple[TestClient, Predictor]) -> None:
    liked = ["i3", "i7"]
    answer = ask(guided[0], history=liked, k=40)
    assert not {i for i, why in zip(answer["item_ids"], answer["why"], strict=True) if why} & {*liked}


def test_what_is_shown_is_counted(guided: tuple[TestClient, Predictor]) -> None:
    def shown() -> float:
        lines = guided[0].get("/metrics").text.splitlines()
        ours = [x for x in lines if x.startswith("fathom_serving_guided_items_total") and "v-guided" in x]
        return float(ours[0].rsplit(" ", 1)[1])

    before = shown()
    ask(guided[0], history=["i1", "i0"], k=10)
    assert shown() - before == 2


@pytest.mark.parametrize(
    ("field", "value"), [("explore", "yes"), ("explored", -1), ("explored", 1.5), ("explored", True)]
)
def test_a_wrong_field_is_named(guided: tuple[TestClient, Predictor], field: str, value: Any) -> None:
    answer = guided[0].post(PREDICT, json={"instances": [{"history": ["i1"], "k": 3, field: value}]})
    assert (answer.status_code, answer.json()["field"]) == (400, f"instances[0].{field}")


class TestReload:
    """Another table is taken without a restart, and one that is not whole never is."""

    @pytest.fixture
    def scorer(self, folder: Path) -> Scorer:
        return Scorer(load(folder), 1)

    def test_a_table_that_comes_later_is_taken_once(self, scorer: Scorer, tmp_path: Path) -> None:
        guides = Guides(scorer, str(tmp_path / "current"))
        assert not guides.look()
        make_table(tmp_path / "t-1")
        publish(tmp_path / "current", tmp_path / "t-1")
        assert guides.look()
        assert not guides.look()
        assert scorer.guiding is not None
        assert guides.results == {"taken": 1, "refused": 0}

    def test_rolling_back_is_naming_the_table_before(self, scorer: Scorer, tmp_path: Path) -> None:
        guides, versions = Guides(scorer, str(tmp_path / "current")), list[str]()
        make_table(tmp_path / "t-1")
        make_table(tmp_path / "t-2", leads={(0, 1): 3})
        for name in ("t-1", "t-2", "t-1"):
            publish(tmp_path / "current", tmp_path / name)
            assert guides.look()
            assert scorer.guiding is not None
            versions.append(scorer.guiding.version)
        assert versions[0] == versions[2] != versions[1]

    def test_another_share_needs_no_other_table(self, scorer: Scorer, tmp_path: Path) -> None:
        guides = Guides(scorer, str(tmp_path / "current"))
        make_table(tmp_path / "t-1")
        for share in ("10%", "30%"):
            publish(tmp_path / "current", tmp_path / "t-1", share=share)
            assert guides.look()
        assert scorer.guiding is not None
        assert scorer.guiding.guide.explore.share == 0.3

    def test_a_damaged_table_is_refused_and_the_one_before_stays(
        self, scorer: Scorer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        guides = Guides(scorer, str(tmp_path / "current"))
        make_table(tmp_path / "t-1")
        publish(tmp_path / "current", tmp_path / "t-1")
        guides.look()
        before = scorer.guiding
        make_table(tmp_path / "t-2", leads={(0, 1): 3})
        publish(tmp_path / "current", tmp_path / "t-2")
        (tmp_path / "t-2" / "targets.npy").write_bytes(b"not it")
        guides.look()
        assert scorer.guiding is before
        assert guides.results == {"taken": 1, "refused": 1}
        assert "content differs from its manifest" in caplog.text

    def test_a_table_of_another_digest_than_was_published_is_refused(
        self, scorer: Scorer, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        guides = Guides(scorer, str(tmp_path / "current"))
        make_table(tmp_path / "t-1")
        publish(tmp_path / "current", tmp_path / "t-1")
        make_table(tmp_path / "t-1", leads={(0, 1): 3})
        guides.look()
        assert scorer.guiding is None
        assert "was published; publish again" in caplog.text


def test_items_that_the_ranker_does_not_know_are_not_led_to(folder: Path, tmp_path: Path) -> None:
    names = load(folder).items.names
    guiding = Guiding(make_table(tmp_path / "t-1", items=48), Explore(share="100%", max_per_user=100))
    mixed = guiding.mixed(np.ones(len(names), np.float32), names, ["i1", "i0"], 40)
    assert mixed is not None
    assert sorted(mixed.places) == list(range(40))


def test_a_server_that_guides_needs_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('sklearn', 'scipy', 'transformers', 'polars')))\n"
        "import fathom.serving.guides, fathom.serving.guiding\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
