"""One user's top ten, from the served model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from demo.artifacts import Artifacts
from demo.context import Context
from demo.data import Dataset
from demo.steps.ask import Answer, Ingress

K = 10
_LIKES = 40
_SHOWN = 5


@dataclass(frozen=True)
class Person:
    """A user of the data set: what is known, what they liked (latest first), what they have not seen."""

    user_id: str
    about: str
    liked: list[str]
    unseen: list[str]


@dataclass(frozen=True)
class Shelf:
    """Titles and pictures of the items."""

    rows: dict[str, dict[str, Any]]

    def name(self, item: str) -> str:
        """Return the item's title, with its year if it has one."""
        row = self.rows[item]
        return f"{row['title']} ({row['year']})" if row["year"] else row["title"]


def shelf(data: Dataset) -> Shelf:
    """Return all items of the data set."""
    return Shelf({row["item_id"]: row for row in data.table("items").to_pylist()})


def someone(data: Dataset) -> Person:
    """Return the user whose number of likes is nearest to 40: enough to have a taste, and much unseen."""
    rows: Sequence[dict[str, Any]] = data.table("interactions").sort_by("timestamp").to_pylist()
    likes = Counter(row["user_id"] for row in rows if row["liked"])
    chosen = min(likes, key=lambda user: (abs(likes[user] - _LIKES), user))
    own = [row for row in rows if row["user_id"] == chosen]
    seen = {row["item_id"] for row in own}
    known = next(row for row in data.table("users").to_pylist() if row["user_id"] == chosen)
    return Person(
        user_id=chosen,
        about=f"{known['occupation']}, {known['age_group']}",
        liked=[row["item_id"] for row in reversed(own) if row["liked"]],
        unseen=[i for i in data.table("items", ["item_id"])["item_id"].to_pylist() if i not in seen],
    )


def recommend(context: Context, ingress: Ingress, person: Person, artifacts: Artifacts) -> Answer:
    """Return and show the ten items that the served model puts first, of those the user has not seen."""
    items = shelf(context.data)
    captions = artifacts.captions()
    answer = ingress.rank(person.user_id, person.unseen, K)
    label = " (SIMULATED)" if context.data.about.simulated else ""
    context.view.say(f"   user {person.user_id}{label}: {person.about}")
    context.view.say(f"   liked lately: {'; '.join(items.name(i) for i in person.liked[:_SHOWN])}")
    lines = [
        f"   {place:3}. {score:.3f}  {items.name(item)[:44]:44}  “{captions.get(item, '')}”"
        for place, (item, score) in enumerate(zip(answer.items, answer.scores, strict=True), 1)
    ]
    context.view.show("\n".join([f"   top ten of {len(person.unseen):,}, by {answer.version}:", *lines]))
    return answer
