"""What we use of KServe's Python server, imported here only.

KServe parses `sys.argv` when it is imported, and would take our options, or pytest's, for its own.
"""

from __future__ import annotations

import sys

_argv = sys.argv
sys.argv = _argv[:1]
try:
    from kserve import model_server
    from kserve.errors import InferenceError, InvalidInput
    from kserve.model import Model
    from kserve.model_repository import ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import RESTServer
    from kserve.protocol.rest.v2_datamodels import InferenceRequest, RequestInput
finally:
    sys.argv = _argv

__all__ = [
    "DataPlane",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "InferenceError",
    "InferenceRequest",
    "InvalidInput",
    "Model",
    "ModelRepository",
    "ModelRepositoryExtension",
    "RESTServer",
    "RequestInput",
    "model_server",
]
