from __future__ import annotations

import pytest

from fathom.captioning.keys import Keys, prompt_digest
from fathom.captioning.models.prompting import fill, with_times
from fathom_api.captioning import Prompt
from fathom_api.tasks import AnySource

TEXTS = {"title": "Red dress", "brand": "Acme"}


@pytest.mark.parametrize(
    ("template", "texts", "filled"),
    [
        pytest.param("What is it?", {}, "What is it?", id="no texts"),
        pytest.param("What is it?", TEXTS, "What is it?\ntitle: Red dress\nbrand: Acme", id="appended"),
        pytest.param("A {title}?", TEXTS, "A Red dress?\nbrand: Acme", id="placed, the rest appended"),
        pytest.param("{title} {title}", {"title": "x"}, "x x", id="placed twice"),
        pytest.param("By {brand}: {title}", {"title": "x"}, "By : x", id="a text that the item lacks"),
        pytest.param("{price} {0} {} %s", {"title": "x"}, "{price} {0} {} %s\ntitle: x", id="other braces"),
        pytest.param(
            "{title}", {"title": "{brand}", "brand": "b"}, "{brand}\nbrand: b", id="braces in a text"
        ),
        pytest.param("{title}", {"title": r"\1 \g<0> \n"}, r"\1 \g<0> \n", id="backslashes in a text"),
        pytest.param("?", {"title": "a\nbrand: b\r\n\tc"}, "?\ntitle: a brand: b c", id="line breaks"),
    ],
)
def test_texts_are_put_into_the_prompt(template: str, texts: dict[str, str], filled: str) -> None:
    assert fill(template, texts, ["title", "brand"], str) == filled


def test_texts_are_cleaned_and_the_prompt_is_not() -> None:
    assert fill("<b> {title}", TEXTS, ["title"], str.upper) == "<b> RED DRESS"


def test_a_column_may_have_any_name() -> None:
    assert fill("{a.*(b)}", {"a.*(b)": "x"}, ["a.*(b)"], str) == "x"


@pytest.mark.parametrize(("times", "said"), [((), False), ((0.0,), False), ((0.0, 2.25), True)])
def test_times_are_told_of_videos_only(times: tuple[float, ...], said: bool) -> None:
    assert ("0.0 s, 2.2 s" in with_times("?", times)) is said


PROMPT = Prompt(name="caption", prompt="What is it?", max_new_tokens=48)
SOURCE = AnySource(uri="items")
VIDEO = {"mediaType": "Video"}


def key(source: AnySource = SOURCE, model: str = "m", decoding: str = "d", **changed: object) -> str:
    said = {"sha256": "1", "prompt": "What is it?", "asked": PROMPT, **changed}
    return Keys.of(source, model, decoding).key(said["sha256"], said["prompt"], said["asked"])  # type: ignore


def source(**fields: object) -> AnySource:
    return AnySource.model_validate({"uri": "items", **fields})


@pytest.mark.parametrize(
    ("one", "same"),
    [
        pytest.param(key(), True, id="nothing changed"),
        pytest.param(key(source(maxTextLength=7, textColumns=["a"])), True, id="texts are in the prompt"),
        pytest.param(key(asked=PROMPT.model_copy(update={"name": "mood"})), True, id="another name"),
        pytest.param(key(sha256="2"), False, id="other media"),
        pytest.param(key(prompt="And now?"), False, id="another prompt, or text in it"),
        pytest.param(key(model="n"), False, id="another model"),
        pytest.param(key(decoding="e"), False, id="other decoding"),
        pytest.param(key(asked=PROMPT.model_copy(update={"max_new_tokens": 9})), False, id="shorter answers"),
        pytest.param(key(asked=PROMPT.model_copy(update={"json_schema": {}})), False, id="a schema"),
        pytest.param(key(source(**VIDEO)), False, id="videos"),
    ],
)
def test_a_key_is_the_same_when_the_caption_would_be(one: str, same: bool) -> None:
    assert (one == key()) is same


@pytest.mark.parametrize("video", [{"frames": 4}, {"sampling": "SceneChange"}])
def test_frames_of_a_video_are_part_of_its_key(video: dict[str, object]) -> None:
    assert key(source(**VIDEO, video=video)) != key(source(**VIDEO))


def test_a_prompt_has_a_digest_before_texts_are_filled_in() -> None:
    assert prompt_digest(PROMPT) == prompt_digest(PROMPT.model_copy(update={"name": "mood"}))
    assert prompt_digest(PROMPT) != prompt_digest(PROMPT.model_copy(update={"json_schema": {}}))
