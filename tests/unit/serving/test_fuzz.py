"""Whatever the OpenAPI document allows, and much that it does not, is answered as the document says."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks
from schemathesis.specs.openapi import checks as openapi

OPERATIONS = [
    ("POST", "/v1/models/movies:predict"),
    ("POST", "/v2/models/movies/infer"),
    ("POST", "/v2/models/movies/versions/v-listening/infer"),
    ("POST", "/v1/feedback"),
    ("GET", "/v1/models/movies"),
    ("GET", "/v2/models/movies"),
    ("GET", "/v2/models/movies/ready"),
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
]
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
]


@pytest.fixture(scope="session")
def document(listening: FastAPI) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", listening)


def test_the_document_tells_of_these_paths(document: Any) -> None:
    told = [operation.ok() for operation in document.get_all_operations()]
    assert {(o.method.upper(), o.path) for o in told} == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as told", "else"])
@pytest.mark.parametrize(("method", "path"), [o for o in OPERATIONS if o[0] == "POST"])
def test_no_body_is_answered_otherwise_than_the_document_says(
    document: Any, method: str, path: str, mode: GenerationMode
) -> None:
    @given(case=document[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=100,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()


@pytest.mark.parametrize(("method", "path"), [o for o in OPERATIONS if o[0] == "GET"])
def test_health_and_metadata_are_as_the_document_says(document: Any, method: str, path: str) -> None:
    document[path][method].Case().call_and_validate(checks=CHECKS)
