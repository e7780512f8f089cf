from __future__ import annotations

from typing import Any

import pytest

from fathom.captioning.engines import Answer, Question, UnansweredError
from fathom.captioning.engines.structured import canonical, check_schema, checked, extract, with_schema
from fathom.captioning.media import Clip
from fathom.errors import InvalidInputError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}, "count": {"type": "integer"}},
    "required": ["colour"],
    "additionalProperties": False,
}


def check(text: str, schema: dict[str, Any] | None = SCHEMA, finish: Any = "Stop") -> Any:
    return checked(Question("a", "?", Clip((), ()), 9, schema), Answer(text, 3, finish, 1.0))


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        pytest.param('{"colour": "red"}', '{"colour":"red"}', id="JSON"),
        pytest.param('{"count": 2,  "colour": "red"}', '{"colour":"red","count":2}', id="another order"),
        pytest.param('```json\n{"colour": "red"}\n```', '{"colour":"red"}', id="a code fence"),
        pytest.param('Sure! {"colour": "blue"} Anything else?', '{"colour":"blue"}', id="words around"),
        pytest.param('[note] {"colour": "blue"}', '{"colour":"blue"}', id="brackets before"),
    ],
)
def test_an_answer_is_kept_as_canonical_json(said: str, kept: str) -> None:
    answer = check(said)
    assert isinstance(answer, Answer)
    assert (answer.text, answer.tokens) == (kept, 3)


@pytest.mark.parametrize(
    ("said", "says"),
    [
        pytest.param("a red thing", "no JSON", id="words"),
        pytest.param("", "no JSON", id="nothing"),
        pytest.param('{"colour": "green"}', "is not one of", id="a value that is not allowed"),
        pytest.param('{"count": 2}', "required", id="a property that is missing"),
        pytest.param('{"colour": "red", "x": 1}', "Additional", id="one too many"),
        pytest.param('{"colour": NaN}', "no JSON", id="not a number"),
        pytest.param('["colour"]', "not of type", id="a list"),
        pytest.param("[" * 100_000, "no JSON", id="a tower of brackets"),
        pytest.param('{"a":' * 500 + "1" + "}" * 500, "no JSON", id="a deep nest"),
        pytest.param("{" * 5000 + '{"colour": "red"}', "no JSON", id="thousands of places to begin"),
    ],
)
def test_an_answer_that_does_not_fit_is_an_error(said: str, says: str) -> None:
    error = check(said)
    assert isinstance(error, UnansweredError)
    assert error.reason == "NotTheSchema"
    assert says in str(error)
    assert len(str(error)) < 1000


def test_an_answer_that_was_cut_off_says_what_to_do() -> None:
    assert "raise maxNewTokens" in str(check('{"colour": "re', finish="Length"))


def test_without_a_schema_an_answer_is_left_alone() -> None:
    assert check("a red thing", None).text == "a red thing"


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "nothing"}, id="an unknown type"),
        pytest.param({"properties": []}, id="properties that are a list"),
        pytest.param({"$ref": "http://169.254.169.254/latest"}, id="a schema elsewhere"),
        pytest.param({"allOf": [{"$ref": "file:///etc/passwd"}]}, id="a file"),
    ],
)
def test_a_wrong_schema_is_an_error_of_the_task(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as error:
        check_schema("mood", schema)
    assert error.value.reason == "InvalidSchema"
    assert "'mood'" in str(error.value)


@pytest.mark.parametrize(
    "schema", [None, {}, SCHEMA, {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array"}}}]
)
def test_a_schema_that_can_be_checked_is_taken(schema: dict[str, Any] | None) -> None:
    check_schema("mood", schema)


def test_a_reference_to_nothing_is_an_error_of_the_answer() -> None:
    assert check("[]", {"$ref": "#/$defs/missing"}).reason == "NotTheSchema"


def test_the_prompt_names_the_schema() -> None:
    assert with_schema("Which mood?", None) == "Which mood?"
    assert canonical(SCHEMA) in with_schema("Which mood?", SCHEMA)


def test_json_alone_may_be_any_value() -> None:
    assert extract(" 12 ") == 12
    with pytest.raises(ValueError, match="no whole"):
        extract("12 things")
