"""CaptionJobs that ask for everything there is, each in one way; the models and the API server take them."""

from __future__ import annotations

import pytest

from builders.manifests import caption_job

_GPU = {"limits": {"nvidia.com/gpu": 1}}

GOOD_CAPTION_JOBS = (
    pytest.param(
        caption_job(
            spec__source={
                "uri": "s3://shop/videos/",
                "mediaType": "Video",
                "video": {"frames": 16, "sampling": "SceneChange", "maxDuration": "10m"},
                "textColumns": ["title", "transcript"],
                "allowedOrigins": ["https://*.cdn.example.com", "http://media.shop.svc:8080", "gs://media"],
            },
            spec__output__uri="s3://shop/captions/videos",
        ),
        id="videos of a bucket, with texts and URIs",
    ),
    pytest.param(
        caption_job(
            spec__model__prompts=[
                {"name": "subject", "prompt": "What is it?"},
                {"name": "style", "prompt": "{title}?", "jsonSchema": {"type": "object"}, "maxNewTokens": 9},
            ]
        ),
        id="several aspects, one as JSON",
    ),
    pytest.param(
        caption_job(
            spec__model={
                "engine": "OpenAI",
                "endpoint": {
                    "url": "http://vllm.models.svc:8000/v1",
                    "model": "llava-hf/llava-1.5-7b-hf",
                    "apiKey": {"name": "hub", "key": "token"},
                },
            }
        ),
        id="a model behind an endpoint",
    ),
    pytest.param(caption_job(spec__model__engine="VLLM", spec__template__resources=_GPU), id="vLLM on a GPU"),
    pytest.param(
        caption_job(
            spec__model__engine="VLLM",
            spec__template={
                "resources": {"claims": [{"name": "gpu"}]},
                "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}],
            },
        ),
        id="vLLM on a claimed device",
    ),
    pytest.param(
        caption_job(spec__model={"captionJob": "lesson", "cache": "pvc://cache/hub"}),
        id="the model that another CaptionJob made, and a cache",
    ),
    pytest.param(
        caption_job(
            spec__refresh={"schedule": "0 3 * * MON-FRI", "timeZone": "Europe/Berlin"},
            spec__suspend=True,
            spec__activeDeadlineSeconds=3600,
        ),
        id="every working day at three, at most an hour, not now",
    ),
    pytest.param(
        caption_job(
            spec__fineTune={"uri": "pvc://media/p.jsonl", "method": "LoRA", "lora": {"targetModules": ["q"]}},
            spec__ttlSecondsAfterFinished=0,
        ),
        id="adapters, deleted when done",
    ),
)
