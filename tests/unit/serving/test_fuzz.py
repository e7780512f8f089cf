"""Whatever the OpenAPI document allows, and much that it does not, is answered as the document says."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi

schema = schemathesis.pytest.from_fixture("document")


@pytest.fixture(scope="session")
def document(listening: FastAPI) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", listening)


@schema.parametrize()
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_is_answered_otherwise_than_the_document_says(case: Any) -> None:
    case.call_and_validate(
        checks=[
            checks.not_a_server_error,
            openapi.status_code_conformance,
            openapi.content_type_conformance,
            openapi.response_headers_conformance,
            openapi.response_schema_conformance,
        ]
    )
