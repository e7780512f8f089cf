"""What we use of KServe's Python server, imported here only.

KServe parses `sys.argv` when it is imported, and would take our options, or pytest's, for its own.
"""

from __future__ import annotations

import sys

_argv = sys.argv
sys.argv = _argv[:1]
try:
    from kserve import model_server
    from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
    from kserve.metrics import PREDICT_HIST_TIME
    from kserve.model import Model
    from kserve.model_repository import ModelRepository
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
    from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as services
    from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
    from kserve.protocol.grpc.servicer import InferenceServicer
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
    from kserve.protocol.rest.server import RESTServer
finally:
    sys.argv = _argv

__all__ = [
    "PREDICT_HIST_TIME",
    "DataPlane",
    "ExceptionToStatusInterceptor",
    "InferenceServicer",
    "InvalidInput",
    "Model",
    "ModelNotFound",
    "ModelNotReady",
    "ModelRepository",
    "ModelRepositoryExtension",
    "RESTServer",
    "messages",
    "model_server",
    "services",
]
