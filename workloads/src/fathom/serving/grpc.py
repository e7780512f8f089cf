"""The v2 protocol over gRPC: KServe's service with our reading of requests; bad ones are INVALID_ARGUMENT."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import Any, Final

from grpc import StatusCode, aio
from grpc_interceptor.exceptions import GrpcException

from fathom.serving import v2
from fathom.serving.edge import MAX_BODY_BYTES, VERSION_HEADER
from fathom.serving.endpoints import query_of
from fathom.serving.errors import BadRequestError
from fathom.serving.feedback import remembered
from fathom.serving.kserve import (
    DataPlane,
    ExceptionToStatusInterceptor,
    InferenceServicer,
    ModelNotFound,
    ModelNotReady,
    ModelRepositoryExtension,
    messages,
    services,
)
from fathom.serving.predictor import Predictor
from fathom.serving.tensors import of_message

_PROTOCOL: Final = "grpc"


class Servicer(InferenceServicer):
    """Answers gRPC calls for one model."""

    def __init__(
        self, predictor: Predictor, dataplane: DataPlane, repository: ModelRepositoryExtension
    ) -> None:
        super().__init__(dataplane, repository)
        self._predictor = predictor

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Score."""
        metrics, started = self._predictor.metrics, time.perf_counter()
        code, kind = HTTPStatus.OK.value, ""
        try:
            return await self._infer(request, context)
        except BadRequestError as error:
            code, kind = HTTPStatus.BAD_REQUEST.value, error.reason
            raise _status(StatusCode.INVALID_ARGUMENT, f"{error.reason}: {error}") from error
        except ModelNotReady:
            code, kind = HTTPStatus.SERVICE_UNAVAILABLE.value, "NotReady"
            raise
        except ModelNotFound:
            code, kind = HTTPStatus.NOT_FOUND.value, "NotFound"
            raise
        except Exception:
            code, kind = HTTPStatus.INTERNAL_SERVER_ERROR.value, "Internal"
            raise
        finally:
            metrics.answered(_PROTOCOL, code, time.perf_counter() - started)
            if kind:
                metrics.failed(kind)

    async def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse."""
        raise _status(StatusCode.INVALID_ARGUMENT, "this server has one model; roll out a RecModel instead")

    async def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refuse."""
        return await self.RepositoryModelLoad(request, context)

    async def _infer(self, request: Any, context: Any) -> Any:
        model = self._predictor
        if request.model_name != model.name:
            raise ModelNotFound(request.model_name)
        if request.model_version not in {"", model.version}:
            raise BadRequestError(
                "model_version",
                "UnknownVersion",
                f"{request.model_version!r} is not served here, {model.version!r} is",
            )
        query = query_of(of_message(request), model)
        scored = await model.rank([query])
        await context.send_initial_metadata(((VERSION_HEADER, model.version),))
        response = messages.ModelInferResponse(
            model_name=model.name, model_version=model.version, id=request.id
        )
        for name in remembered(model.feedback, scored):
            response.parameters["request_id"].string_param = name
        scores = scored[0].scores
        output = response.outputs.add(name=v2.SCORE, datatype="FP32", shape=[len(scores)])
        if request.raw_input_contents:
            response.raw_output_contents.append(scores.astype("<f4").tobytes())
        else:
            output.contents.fp32_contents.extend(scores)
        return response


class GrpcServer:
    """Listens at `port`; KServe's model server starts and stops it."""

    def __init__(self, servicer: Servicer, port: int, grace_seconds: int) -> None:
        self._servicer, self._port, self._grace = servicer, port, grace_seconds
        self._server: Any = None
        self._listening: asyncio.Future[int] | None = None

    async def start(self) -> None:
        """Serve until `stop`."""
        # Without KServe's interceptor that logs every call; messages have HTTP bodies' limit.
        self._server = aio.server(
            interceptors=(ExceptionToStatusInterceptor(),),
            options=[("grpc.max_receive_message_length", MAX_BODY_BYTES)],
        )
        services.add_GRPCInferenceServiceServicer_to_server(self._servicer, self._server)
        port = self._server.add_insecure_port(f"[::]:{self._port}")
        await self._server.start()
        self._told().set_result(port)
        await self._server.wait_for_termination()

    async def listening(self) -> int:
        """Return the port once it is open."""
        return await self._told()

    def _told(self) -> asyncio.Future[int]:
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_future()
        return self._listening

    async def stop(self, sig: int | None = None) -> None:
        """Finish what is in flight."""
        if self._server is not None:
            await self._server.stop(grace=self._grace)


def _status(code: StatusCode, details: str) -> GrpcException:
    return GrpcException(status_code=code, details=details.encode("utf-8", "backslashreplace").decode())
