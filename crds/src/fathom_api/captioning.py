"""What is captioned and by which model: the source, the multimodal LLM, its prompts, its fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from fathom_api.meta import ApiModel
from fathom_api.pods import Passed
from fathom_api.rules import Rule
from fathom_api.types import (
    AspectName,
    ColumnName,
    DatasetUri,
    Duration,
    ModelUri,
    ObjectName,
    Origin,
    SourceUri,
    Unique,
)

PROMPT = "Describe this item in one sentence."
#: The aspect that a single prompt asks about.
ASPECT = "caption"


class Video(ApiModel):
    """Which frames of a video the model sees."""

    frames: int = Field(default=8, ge=1, le=64, description="Most frames taken of one video.")
    sampling: Literal["Uniform", "SceneChange"] = Field(
        default="Uniform",
        description="Uniform: evenly spread over the video. SceneChange: where the picture changes most.",
    )
    max_duration: Duration = Field(
        default="1h", description="A longer video is an error of its item, not decoded."
    )


class Source(ApiModel):
    """The items to caption and where their media lie."""

    uri: SourceUri = Field(
        description="A Parquet, CSV or JSONL file, a folder of them, a folder of media files, or WebDataset "
        "tars (a file, or a folder of `*.tar`): `pvc://claim/path`, `s3://bucket/path`, `gs://bucket/path` "
        "or `https://host/path`. In a folder of media the file's path without suffix is the item's id."
    )
    id_column: ColumnName = Field(default="item_id", description="Column with the item's id.")
    media_column: ColumnName = Field(
        default="image",
        description="Column with the media: bytes, a path relative to the file or absolute in its claim, "
        "or a URI of one of `allowedOrigins`.",
    )
    media_type: Literal["Image", "Video"] = Field(default="Image", description="Kind of media.")
    video: Video = Field(default_factory=Video, description="How videos are read (`mediaType: Video`).")
    text_columns: Annotated[list[ColumnName], Unique()] = Field(
        default_factory=list[str],
        max_length=8,
        description="Columns with text of the item, a title or a transcript: put where a prompt says "
        "`{column}`, else below the prompt as `column: text`.",
    )
    max_text_length: int = Field(
        default=2000, ge=1, le=100_000, description="Characters kept of each text; the rest is cut off."
    )
    allowed_origins: Annotated[list[Origin], Unique()] = Field(
        default_factory=list[str],
        max_length=32,
        description="Where URIs in the media column may point besides the source's own claim or bucket: "
        "`https://img.example.com`, `https://*.cdn.example.com`, `s3://bucket`. Hosts with private "
        "addresses must be named in full.",
    )


class Prompt(ApiModel):
    """One question asked about each item; its answer is a feature of its own."""

    name: AspectName = Field(description="Name of the aspect, and of the feature made of it.")
    prompt: str = Field(min_length=1, max_length=4000, description="What the model is asked.")
    max_new_tokens: int | None = Field(
        default=None, ge=1, le=1024, description="Longest answer; the model's `maxNewTokens` if unset."
    )
    json_schema: Passed | None = Field(
        default=None,
        description="JSON schema of the answer. An answer that does not fit is an error of its item; tokens "
        "are then `key=value`.",
    )


class SecretKey(ApiModel):
    """A key of a Secret in the resource's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: str = Field(min_length=1, max_length=253, description="Key in it.")


class Endpoint(ApiModel):
    """A server that speaks OpenAI's chat completions with pictures: vLLM, SGLang, TGI, or a hosted one."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+[^\s?#@]*$", max_length=1024)] = (
        Field(description="Base of the API, `https://api.example.com/v1`.")
    )
    model: str = Field(min_length=1, max_length=253, description="Name of the model at that server.")
    version: str = Field(
        default="",
        max_length=128,
        description="Which version of the model answers there: captions made with another are made anew.",
    )
    api_key: SecretKey | None = Field(default=None, description="Secret with the API's key.")
    concurrency: int = Field(default=8, ge=1, le=1024, description="Requests of one pod under way at once.")
    timeout: Duration = Field(default="60s", description="Longest wait for one answer.")
    max_retries: int = Field(
        default=6,
        ge=0,
        le=20,
        description="Times a request is repeated that was refused for a passing reason.",
    )


class CaptionModel(ApiModel):
    """The multimodal LLM that writes the captions."""

    RULES = (
        Rule(
            "[has(self.uri), has(self.captionJob), has(self.endpoint)].filter(given, given).size() == 1",
            "name the model by exactly one of spec.model.uri, spec.model.captionJob and spec.model.endpoint",
            lambda model: sum(x is not None for x in (model.uri, model.caption_job, model.endpoint)) == 1,
        ),
        Rule(
            "(self.engine == 'OpenAI') == has(self.endpoint)",
            "engine OpenAI asks the server of spec.model.endpoint, the others load a model themselves: "
            "give both or neither",
            lambda model: (model.engine == "OpenAI") == (model.endpoint is not None),
            ".engine",
        ),
        Rule(
            "!has(self.prompts) || self.prompts.size() == 0 || !has(self.prompt)",
            "spec.model.prompt and spec.model.prompts exclude each other: keep one",
            lambda model: not model.prompts or model.prompt is None,
            ".prompts",
        ),
    )

    uri: ModelUri | None = Field(
        default=None, description="`hf://organisation/name`, `pvc://claim/path` or `fathom://small-llava`."
    )
    caption_job: ObjectName | None = Field(
        default=None, description="CaptionJob in this namespace whose fine-tuned model it is."
    )
    endpoint: Endpoint | None = Field(
        default=None, description="A server that has the model (engine OpenAI)."
    )
    revision: str = Field(
        default="main", max_length=128, description="Branch, tag or commit of an `hf://` model."
    )
    engine: Literal["Transformers", "VLLM", "OpenAI"] = Field(
        default="Transformers",
        description="Transformers: in the pod, on GPU or CPU. VLLM: in the pod, on a GPU; the image must "
        "hold vLLM. OpenAI: at `endpoint`.",
    )
    prompt: str | None = Field(
        default=None,
        min_length=1,
        max_length=4000,
        description=f"What the model is asked about each item; `{PROMPT}` if this and `prompts` are unset.",
    )
    prompts: Annotated[list[Prompt], Unique("name")] = Field(
        default_factory=list[Prompt],
        max_length=8,
        description="Several questions about each item, each a feature of its own.",
    )
    max_new_tokens: int = Field(
        default=48, ge=1, le=1024, description="Longest caption, in the model's tokens."
    )
    samples: int = Field(
        default=0,
        ge=0,
        le=128,
        description="Answers drawn at temperature 1 beside the likeliest one, which stays the caption: a "
        "token then weighs in the features as much as the share of them that hold it. Pictures are read once "
        "for all; each answer costs its own tokens.",
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Media captioned at once; found by itself if unset: halved when memory runs out, "
        "doubled while that makes it faster.",
    )
    dtype: Literal["Auto", "Float32", "BFloat16", "Float16"] = Field(
        default="Auto",
        description="Number format of the weights; Auto takes BFloat16 on a GPU and Float32 on a CPU.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the model (torch.compile): slower to start, faster for many items.",
    )
    spread: bool = Field(
        default=False, description="Spread one model over all GPUs of the pod, for models larger than one."
    )
    cache: DatasetUri | None = Field(
        default=None,
        description="Folder on a claim where models of a hub are kept, so that pods do not each fetch them; "
        "the claim must be ReadWriteMany where pods run on several nodes.",
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code that comes with the model. Off unless you have read that code.",
    )

    @property
    def place(self) -> str:
        """Return where the weights are.

        Raises:
            ValueError: behind an endpoint, or a CaptionJob that nobody has looked up.
        """
        if self.uri is None:
            raise ValueError("the model has no URI")
        return self.uri

    def questions(self) -> tuple[Prompt, ...]:
        """Return what is asked about each item, `max_new_tokens` filled in."""
        asked = self.prompts or [Prompt(name=ASPECT, prompt=self.prompt or PROMPT)]
        return tuple(
            p.model_copy(update={"max_new_tokens": p.max_new_tokens or self.max_new_tokens}) for p in asked
        )


class Lora(ApiModel):
    """Low-rank adapters (arXiv 2106.09685), merged into the model that is left."""

    rank: int = Field(default=16, ge=1, le=512, description="Rank of the adapters.")
    alpha: float = Field(default=32.0, gt=0, le=4096, description="Scale of the adapters: alpha / rank.")
    dropout: float = Field(default=0.05, ge=0, le=0.9, description="Dropout before the adapters.")
    target_modules: list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] = Field(
        default_factory=list[str],
        max_length=32,
        description="Names of the modules that get one, `q_proj` or `model.connector.proj`: sought in the "
        "language model, then in all of the model. All linear ones of the language model if empty.",
    )


Augmentation = Literal["Flip", "Crop"]


class FineTune(ApiModel):
    """Pairs of media and captions that teach the model the domain before it captions."""

    RULES = (
        Rule(
            "!has(self.patience) || self.validation > 0.0",
            "patience stops by the loss on held-out pairs and validation: 0 holds none out: "
            "raise validation, or remove patience",
            lambda settings: settings.patience is None or settings.validation > 0,
            ".patience",
        ),
    )

    uri: SourceUri = Field(description="A table with one pair a row; a medium may have several.")
    media_column: ColumnName = Field(default="image", description="Column with the media: bytes or a path.")
    caption_column: ColumnName = Field(default="caption", description="Column with the caption to learn.")
    method: Literal["Full", "LoRA"] = Field(
        default="Full", description="Full: all weights (the small model's vision part aside). LoRA: adapters."
    )
    lora: Lora = Field(default_factory=Lora, description="The adapters (`method: LoRA`).")
    epochs: int = Field(default=3, ge=1, le=100, description="Most passes over the pairs.")
    patience: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Stop after so many epochs without a lower loss on held-out pairs; never early if unset.",
    )
    batch_size: int = Field(default=32, ge=1, le=4096, description="Pairs per step.")
    learning_rate: float = Field(default=1e-3, gt=0, le=1, description="Peak learning rate (AdamW, cosine).")
    validation: float = Field(
        default=0.05,
        ge=0,
        le=0.5,
        description="Share of the media held out, with all their captions, to measure on.",
    )
    evaluated_pairs: int = Field(
        default=200,
        ge=0,
        le=100_000,
        description="Held-out media captioned at the end and compared with what people wrote: CIDEr, BLEU-4, "
        "token F1.",
    )
    augment: Annotated[list[Augmentation], Unique()] = Field(
        default_factory=list[Augmentation],
        max_length=2,
        description="Learn from changed pictures too. Flip: mirrored; not where captions tell left from "
        "right, or read letters. Crop: up to a fifth of each side cut off, in four views of each picture.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of all that is random.")
