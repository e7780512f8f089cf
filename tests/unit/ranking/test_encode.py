"""Values become ids and numbers; what training has not seen becomes the unknown, never an error."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fathom.errors import InvalidInputError
from fathom.ranking.columns import Columns, Entities, from_table, nobody, stack, to_table
from fathom.ranking.encode import encode, fit, vocabulary
from fathom.ranking.schema import ID, MAX_LIST, FeatureField
from fathom_api.recmodel import Feature


def fitted(values: Any, *, impressions: list[int] | None = None, **feature: Any) -> tuple[FeatureField, Any]:
    """Return a feature learned from `values` and what it makes of a column, as lists."""
    column = pa.array(values)
    counts = np.array(impressions if impressions is not None else [1] * len(values))
    field, known = fit(Feature.model_validate({"column": "c", **feature}), column, counts)

    def apply(new: Any) -> Any:
        columns = encode([field], {"c": known or {}}, {"c": pa.array(new)}, len(new))
        made = {"Categorical": columns.ids, "Numeric": columns.numeric}.get(field.type)
        return (columns.lists[0] if made is None else made[:, 0]).tolist()

    return field, apply


class TestCategorical:
    def test_known_values_count_from_two_and_all_others_are_one(self) -> None:
        field, apply = fitted(["x", "y", None, "x"])
        assert apply(["x", "y", "z", None]) == [2, 3, 1, 1]
        assert field.size == 4

    def test_only_what_training_met_is_known(self) -> None:
        _, apply = fitted(["x", "y"], impressions=[3, 0])
        assert apply(["x", "y"]) == [2, 1]

    @pytest.mark.parametrize("one", [1, 1.0, "1"])
    def test_a_value_is_the_same_as_a_number_and_as_a_word(self, one: Any) -> None:
        _, apply = fitted([1, 2])
        assert apply([one]) == [2]


class TestCategoricalList:
    @pytest.mark.parametrize(
        ("values", "separator"),
        [
            pytest.param([["a", "b"], ["b"], None, []], " ", id="lists"),
            pytest.param(["a b", "b", None, ""], " ", id="strings cut at a blank"),
            pytest.param(["a|b", "b", None, ""], "|", id="strings cut at another mark"),
        ],
    )
    def test_each_value_has_an_id(self, values: Any, separator: str) -> None:
        _, apply = fitted(values, type="CategoricalList", separator=separator)
        assert apply(values) == [[2, 3], [3, 0], [0, 0], [0, 0]]

    def test_a_long_list_is_cut_so_that_it_does_not_widen_all_others(self) -> None:
        _, apply = fitted([["a"] * 1000], type="CategoricalList")
        assert len(apply([["a"] * 1000])[0]) == MAX_LIST


class TestNumeric:
    def test_is_standardised_by_training_interactions(self) -> None:
        field, apply = fitted([1.0, 3.0, 100.0], impressions=[5, 5, 0], type="Numeric")
        assert (field.mean, field.deviation) == (2.0, 1.0)
        assert apply([1.0, 2.0, 4.0]) == [-1.0, 0.0, 2.0]

    def test_a_missing_number_is_the_mean(self) -> None:
        _, apply = fitted([1, 3, None], type="Numeric")
        assert apply([None, float("nan"), float("inf")]) == [0.0, 0.0, 0.0]

    def test_a_constant_column_does_no_harm(self) -> None:
        _, apply = fitted([5.0, 5.0], type="Numeric")
        assert apply([5.0, 6.0]) == [0.0, 1.0]

    def test_words_are_refused(self) -> None:
        with pytest.raises(InvalidInputError, match=r"column c is not numeric.*or its type Categorical"):
            fitted(["many"], type="Numeric")


def test_entities_survive_being_written_and_read() -> None:
    fields = [
        FeatureField(name=ID, type="Categorical", size=4),
        FeatureField(name="tags", type="CategoricalList", size=9),
        FeatureField(name="price", type="Numeric"),
    ]
    own = Columns(
        np.array([[2], [3]], np.int32),
        (np.array([[5, 0, 0], [6, 7, 8]], np.int32),),
        np.array([[0.5], [-1]], np.float32),
    )
    before = Entities(["a", "b"], stack(nobody(fields), own))
    table = to_table("item_id", before, fields)
    after = from_table("item_id", table, fields)
    assert table.column_names == ["item_id", ID, "tags", "price"]
    assert after.names == before.names
    assert after.columns.ids.tolist() == [[1], [2], [3]]
    assert after.columns.lists[0].tolist() == [[0, 0, 0], [5, 0, 0], [6, 7, 8]]
    assert after.columns.numeric.tolist() == [[0.0], [0.5], [-1.0]]


def test_weights_of_tokens_survive_too_and_are_a_column_only_where_there_are_some() -> None:
    fields = [
        FeatureField(name=ID, type="Categorical", size=4),
        FeatureField(name="captions/a", type="Tokens", size=9, pooling="Weighted"),
        FeatureField(name="captions/b", type="Tokens", size=9, pooling="Weighted"),
    ]
    ids = np.array([[5, 0], [6, 7]], np.int32)
    weights = np.array([[0.5, 0], [1, 0.25]], np.float32)
    own = Columns(np.array([[2], [3]], np.int32), (ids, ids), np.zeros((2, 0), np.float32), (weights, None))
    table = to_table("item_id", Entities(["a", "b"], stack(nobody(fields), own)), fields)
    after = from_table("item_id", table, fields).columns
    assert table.column_names == ["item_id", ID, "captions/a", "captions/b", "captions/a@weights"]
    assert after.weights[1] is None
    assert after.weights[0] is not None
    assert after.weights[0].tolist() == [[0, 0], [0.5, 0], [1, 0.25]]


def test_ids_do_not_depend_on_the_order_of_rows() -> None:
    assert vocabulary(pa.array(["b", "a", "b"])) == vocabulary(pa.array(["a", "b"]))
