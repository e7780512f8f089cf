"""Which InterestMap guides a RecModel."""

from __future__ import annotations

from typing import Any

from builders.manifests import interest_map
from builders.seen import resource

from fathom_operator.interestmap.guiding import Guide, guide_of
from fathom_operator.kube.resources import Obj

TABLE = {"name": "t-00000001", "uri": "pvc://data/discover/tables/t-1", "clustersUri": "pvc://data/c"}


def a_map(name: str, *, made: str = "2026-01-01T00:00:00Z", status: Obj | None = None, **spec: Any) -> Obj:
    obj = resource(interest_map(name, spec__serving={"recModel": "movies"}, **spec), status)
    return obj | {"metadata": obj["metadata"] | {"creationTimestamp": made}}


def test_the_one_that_names_it() -> None:
    maps = [resource(interest_map("other")), a_map("discover", status={"table": TABLE})]
    assert guide_of(maps, "movies") == Guide("discover", "pvc://data/discover/current")
    assert guide_of(maps, "books") is None


def test_until_a_table_is_published_there_is_nowhere_to_look() -> None:
    assert guide_of([a_map("discover")], "movies") == Guide("discover", None)


def test_of_several_the_one_made_first() -> None:
    maps = [a_map("a", made="2026-01-02T00:00:00Z"), a_map("b")]
    assert guide_of(maps, "movies") == Guide("b", None)


def test_one_with_a_spec_that_is_none_guides_nobody() -> None:
    assert guide_of([a_map("discover", spec__clusters={"counts": "many"})], "movies") is None
