r"""What a policy would have earned, estimated from the log of another: the Open Bandit Dataset.

`python -m benchmarks.off_policy --data FOLDER [--peers VENV/bin/python]` writes
`docs/evidence/off-policy.md`. FOLDER holds `obd/`, which is of

    git clone --depth 1 https://github.com/st-tech/zr-obp FOLDER

ZOZOTOWN served fashion items by two policies at the same time, uniformly at random and by Bernoulli Thompson
sampling, and logged with which probability each item was shown. Each was really served, so an estimate of the
one from the log of the other has a truth beside it. VENV has obp, whose estimators are asked the same:

    uv venv --python 3.11 VENV
    uv pip install --python VENV/bin/python torch numpy pandas scikit-learn scipy tqdm pyyaml matplotlib \
        seaborn pyieoe
    uv pip install --python VENV/bin/python --no-deps obp==0.5.5
"""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow.csv as pc
from numpy.typing import NDArray

from benchmarks import evidence
from fathom.serendipity import off_policy
from fathom.serendipity.off_policy import Logged, Value

NAME: Final = "off-policy.md"
_CAMPAIGNS: Final = ("men", "women")
_NAMES: Final = {"random": "uniformly at random", "bts": "Thompson sampling"}
#: Decisions by which an item's clicks at a place are drawn to the mean of all.
_WEAK: Final = 1000.0
_OBP: Final = """
import json, sys
import numpy as np
from obp import ope
d = np.load(sys.argv[1])
same = dict(action=d["action"], reward=d["reward"], pscore=d["propensity"])
policy, expected, none = d["policy"][..., None], d["expected"][..., None], np.zeros(len(d["action"]), int)
told = dict(action_dist=policy, estimated_rewards_by_reg_model=expected, position=none)
weighed = dict(same, action_dist=policy, position=none)
print(json.dumps({
    "IPW": ope.InverseProbabilityWeighting().estimate_policy_value(**weighed),
    "SNIPW": ope.SelfNormalizedInverseProbabilityWeighting().estimate_policy_value(**weighed),
    "DM": ope.DirectMethod().estimate_policy_value(**told),
    "DR": ope.DoublyRobust().estimate_policy_value(**same, **told),
}))
"""

_HEAD: Final = [
    "campaign",
    "policy, from the log of",
    "estimator",
    "estimate",
    "truth: it was served",
    "off by",
    "effective decisions",
    "obp",
]
_BEFORE: Final = (
    "# What another policy would have earned: the Open Bandit Dataset",
    "Made by `python -m benchmarks.off_policy`; do not edit.",
    "MovieLens-100K does not say with which probability a film was shown, so it cannot tell what people\n"
    "would have liked of a list that they did not see. A log that has these can. How it is used, by the\n"
    "estimators of `fathom.serendipity.off_policy`, is shown on the small Open Bandit Dataset (Saito et\n"
    "al., arXiv 2008.07146; ZOZOTOWN): 10,000 decisions for each policy and campaign. Clicks per 100\n"
    "decisions; in brackets a 95 % interval by bootstrap over decisions. The last column is what the\n"
    "estimators of obp, the Open Bandit Pipeline, say of the same.",
)
_AFTER: Final = (
    "With so few clicks 10,000 decisions tell a policy from another only if it is much better. Of the\n"
    "decisions of Thompson sampling a uniform policy can use few, since some items were hardly ever\n"
    "shown: the effective number says so before anybody looks at the estimate. DM's intervals are of\n"
    "decisions alone and say nothing of what the expected clicks got wrong."
)

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """What one policy showed in one campaign; place [n] is where on the page, 0 to 2."""

    shown: Logged
    place: NDArray[np.int64]


def main() -> None:
    """Estimate and write; see the module."""
    parser = evidence.options(__doc__, None, "obd")
    parser.add_argument(
        "--peers", type=Path, help="Python that has obp; without, its estimates are not asked"
    )
    options = evidence.begin(parser)
    rows = [row for c in _CAMPAIGNS for row in measure(options.data / "obd", c, options.peers)]
    (options.output / NAME).write_text(page(rows))
    logging.info("wrote %s", options.output / NAME)


def measure(folder: Path, campaign: str, peers: Path | None) -> Iterator[list[str]]:
    """Yield the rows of the page: each policy, estimated from the other's log."""
    logs = {policy: read(folder / policy / campaign / f"{campaign}.csv") for policy in _NAMES}
    actions = 1 + max(int(log.shown.action.max()) for log in logs.values())
    for served, asked in (("random", "bts"), ("bts", "random")):
        log, policy = logs[served], _policy(asked, logs[asked], logs[served].place, actions)
        expected = _expected(log, actions)
        terms = {
            "IPW": off_policy.ipw(log.shown, policy),
            "SNIPW": off_policy.snipw(log.shown, policy),
            "DM": off_policy.direct(policy, expected),
            "DR": off_policy.doubly_robust(log.shown, policy, expected),
        }
        theirs = _obp(peers, log.shown, policy, expected) if peers else {}
        truth = off_policy.value(logs[asked].shown.reward)
        effective = off_policy.effective_sample(log.shown, policy)
        for name, own in terms.items():
            found = off_policy.value(own)
            if name in theirs and abs(theirs[name] - found.value) > 1e-9:
                raise SystemExit(f"{campaign}, {asked}: {name} is {found.value}, obp has {theirs[name]}")
            yield [
                campaign,
                f"{_NAMES[asked]}, from {_NAMES[served]}",
                name,
                _told(found),
                _told(truth),
                f"{found.value / truth.value - 1:+.0%}",
                f"{effective:,.0f}",
                f"{theirs[name] * 100:.3f}" if name in theirs else "",
            ]


def read(path: Path) -> Log:
    """Return the log at `path`, a CSV of the Open Bandit Dataset."""
    table = pc.read_csv(path)
    columns = {n: table[n].to_numpy() for n in ("item_id", "position", "click", "propensity_score")}
    shown = Logged(columns["item_id"], columns["click"].astype(np.float64), columns["propensity_score"])
    return Log(shown, columns["position"] - 1)


def _policy(asked: str, log: Log, place: NDArray[np.int64], actions: int) -> Numbers:
    """Return the probability of each action at each `place` [n, actions].

    Thompson sampling learned as it served, so what is estimated is how it served on the whole.
    """
    if asked == "random":
        return np.full((len(place), actions), 1 / actions)
    shown = np.zeros((3, actions))
    np.add.at(shown, (log.place, log.shown.action), 1)
    return (shown / shown.sum(axis=1, keepdims=True))[place]


def _expected(log: Log, actions: int) -> Numbers:
    """Return the clicks to be expected of each action at each decision's place [n, actions].

    Each half of the log is told by the other, so that no decision tells of itself.
    """
    half = np.arange(len(log.place)) % 2
    told = np.zeros((len(log.place), actions))
    for own in (0, 1):
        other = half != own
        clicks, often = np.zeros((3, actions)), np.zeros((3, actions))
        cell = log.place[other], log.shown.action[other]
        np.add.at(clicks, cell, log.shown.reward[other])
        np.add.at(often, cell, 1)
        drawn = (clicks + _WEAK * log.shown.reward[other].mean()) / (often + _WEAK)
        told[~other] = drawn[log.place[~other]]
    return told


def _obp(python: Path, log: Logged, policy: Numbers, expected: Numbers) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.npz"
        np.savez(
            path,
            action=log.action,
            reward=log.reward,
            propensity=log.propensity,
            policy=policy,
            expected=expected,
        )
        told = subprocess.run(
            [str(python), "-c", _OBP, str(path)], check=True, capture_output=True, text=True
        )
    return json.loads(told.stdout)


def _told(found: Value) -> str:
    return f"{found.value * 100:.3f} [{found.low * 100:.3f}, {found.high * 100:.3f}]"


def page(rows: list[list[str]]) -> str:
    """Return the page."""
    return "\n\n".join([*_BEFORE, evidence.table(_HEAD, rows, figures="---") + f"\n{_AFTER}\n"])


if __name__ == "__main__":
    main()
