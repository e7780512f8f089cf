"""The v2 protocol over gRPC: the same scores, and bad requests are INVALID_ARGUMENT."""

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from grpc import StatusCode, aio

from fathom.ranking.scorer import Bundle, ScoreRequest
from fathom.serving.dataplane import FixedRepository, StrictDataPlane
from fathom.serving.grpc import GrpcServer, Servicer
from fathom.serving.kserve import ModelRepository, messages, services
from fathom.serving.predictor import Predictor


def tensor(name: str, *values: str, datatype: str = "BYTES") -> Any:
    contents = messages.InferTensorContents(bytes_contents=[value.encode() for value in values])
    return messages.ModelInferRequest.InferInputTensor(
        name=name, datatype=datatype, shape=[len(values)], contents=contents
    )


def request(*inputs: Any, model: str = "movies", **more: Any) -> Any:
    return messages.ModelInferRequest(model_name=model, inputs=inputs, **more)


def ask(served: Predictor, method: str, message: Any) -> Any:
    """Return the answer of a server on a port of its own."""

    async def answer() -> Any:
        models = ModelRepository()
        models.update(served)
        servicer = Servicer(served, StrictDataPlane(models), FixedRepository(models))
        server = GrpcServer(servicer, 0, 1)
        running = asyncio.create_task(server.start())
        try:
            async with aio.insecure_channel(f"127.0.0.1:{await server.listening()}") as channel:
                return await getattr(services.GRPCInferenceServiceStub(channel), method)(message)
        finally:
            await server.stop()
            await running

    return asyncio.run(answer())


def test_scores_are_those_of_the_bundle(served: Predictor, bundle: Bundle) -> None:
    items = ["i7", "never seen", "i3"]
    answer = ask(served, "ModelInfer", request(tensor("user_id", "u0"), tensor("item_id", *items), id="42"))
    expected = bundle.score(ScoreRequest("u0", candidates=items))
    assert list(answer.outputs[0].contents.fp32_contents) == pytest.approx(expected.tolist())
    assert (answer.id, answer.model_version) == ("42", "v-0000beef")


def test_raw_contents_go_in_and_out(served: Predictor, bundle: Bundle) -> None:
    inputs = [tensor("user_id", "u0"), tensor("item_id", "i1", "i2")]
    for one in inputs:
        one.ClearField("contents")
    raw = [b"\x02\0\0\0u0", b"\x02\0\0\0i1\x02\0\0\0i2"]
    answer = ask(served, "ModelInfer", request(*inputs, raw_input_contents=raw))
    found = np.frombuffer(answer.raw_output_contents[0], np.float32)
    np.testing.assert_allclose(found, bundle.score(ScoreRequest("u0", candidates=["i1", "i2"])), rtol=1e-5)


USER, ITEM = tensor("user_id", "u0"), tensor("item_id", "i1")


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        pytest.param(request(USER), StatusCode.INVALID_ARGUMENT, "inputs.item_id", id="no items"),
        pytest.param(request(ITEM), StatusCode.INVALID_ARGUMENT, "inputs.user_id", id="nobody asks"),
        pytest.param(
            request(USER, ITEM, model_version="v-9"), StatusCode.INVALID_ARGUMENT, "v-9", id="another version"
        ),
        pytest.param(
            request(USER, tensor("item_id", "i1", datatype="FP32")),
            StatusCode.INVALID_ARGUMENT,
            "inputs.item_id",
            id="items by number",
        ),
        pytest.param(
            request(USER, ITEM, raw_input_contents=[b"\x09\0\0\0a"]),
            StatusCode.INVALID_ARGUMENT,
            "raw_input_contents",
            id="raw contents of one input of two",
        ),
        pytest.param(request(USER, ITEM, model="songs"), StatusCode.NOT_FOUND, "songs", id="another model"),
    ],
)
def test_bad_requests_are_refused(served: Predictor, message: Any, code: StatusCode, says: str) -> None:
    with pytest.raises(grpc.RpcError) as error:
        ask(served, "ModelInfer", message)
    assert (error.value.code(), says in error.value.details()) == (code, True)


def test_a_loaded_model_is_ready(served: Predictor) -> None:
    assert ask(served, "ModelReady", messages.ModelReadyRequest(name="movies")).ready


def test_metadata_names_the_tensors(served: Predictor) -> None:
    answer = ask(served, "ModelMetadata", messages.ModelMetadataRequest(name="movies"))
    assert [one.name for one in answer.outputs] == ["score"]
