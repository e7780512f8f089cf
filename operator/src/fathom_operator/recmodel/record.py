"""What a rollout has shown, kept in a ConfigMap of the RecModel's: it outlives the operator.

Pods count from their start, so that what they counted while no operator ran is not lost either: the next look
is compared with the last one that was kept. So it is enough to write now and then.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter, ValidationError

from fathom_operator.analysis.trail import Trail
from fathom_operator.analysis.values import Values
from fathom_operator.analysis.windows import Evidence, pairs
from fathom_operator.digests import short
from fathom_operator.kube.resources import CONFIG_MAPS, Obj
from fathom_operator.owner import Owner
from fathom_operator.plan import Children, Ref
from fathom_operator.times import parse, text

STAGE: Final = "rollout"
_EVIDENCE: Final = "evidence.json.gz"
_TRAIL: Final = "trail.json.gz"
#: A change is written at once, more of the same this often.
_EVERY: Final = timedelta(seconds=60)
#: Of what is written; a ConfigMap holds 1 MiB.
_MOST_BYTES: Final = 400_000
#: Of what is read, unpacked: nobody else than us writes it, but anybody might.
_MOST_UNPACKED: Final = 16 * 2**20


@dataclass(frozen=True)
class Kept:
    """The evidence of one step of one candidate, as it is kept."""

    candidate: str
    step: int
    at: datetime
    evidence: Evidence = field(default_factory=Evidence)
    values: dict[str, Values] = field(default_factory=dict[str, Values])
    restarts_before: dict[str, int] = field(default_factory=dict[str, int])


_KEPT: Final = TypeAdapter(Kept)


def record_name(model: str) -> str:
    """Return the name of the ConfigMap of the RecModel named `model`."""
    return f"{model}-{STAGE}"


def desired(
    owner: Owner, kept: Kept | None, trail: Trail, children: Children, now: datetime
) -> tuple[Obj, ...]:
    """Return the ConfigMap if it is to be written now."""
    if not trail.candidate:
        return ()
    begun = kept is not None and kept.evidence.last is not None
    state = short([trail.candidate, trail.started_at, trail.ended_at, kept.step if kept else None, begun])
    before = children.get(Ref(CONFIG_MAPS.kind, record_name(owner.name)), {}).get("data", {})
    written = _moment(before.get("at"))
    if before.get("state") == state and written is not None and (now - written < _EVERY or not trail.going):
        return ()
    data = {"state": state, "at": text(now), "candidate": trail.candidate}
    binary = {_TRAIL: _packed(trail.model_dump_json(by_alias=True, exclude_defaults=True).encode())}
    if kept is not None and trail.going:
        binary[_EVIDENCE] = _small_enough(kept)
    labels = owner.labels(STAGE, trail.candidate)
    body: Obj = {"data": data, "binaryData": binary}
    return (
        owner.child(
            CONFIG_MAPS, record_name(owner.name), labels, body, made_from={"state": state, "at": text(now)}
        ),
    )


def kept_in(config_map: Obj | None) -> Kept | None:
    """Return the evidence in a ConfigMap; None if there is none, or none that can be read."""
    unpacked = _unpacked(config_map, _EVIDENCE)
    try:
        return _KEPT.validate_json(unpacked) if unpacked else None
    except ValidationError:
        return None


def trail_in(config_map: Obj | None) -> Trail:
    """Return the trail in a ConfigMap; an empty one if there is none, or none that can be read."""
    unpacked = _unpacked(config_map, _TRAIL)
    try:
        return Trail.model_validate_json(unpacked) if unpacked else Trail()
    except ValidationError:
        return Trail()


def _moment(said: str | None) -> datetime | None:
    try:
        return parse(said) if said else None
    except ValueError:
        return None


def _small_enough(kept: Kept) -> str:
    """Return the evidence, in fewer windows if they are too many, without the last look if it is too long.

    Without it the counting begins anew after a restart; what the windows hold is kept.
    """
    while len(packed := _packed(_KEPT.dump_json(kept, exclude_defaults=True))) > _MOST_BYTES:
        evidence = kept.evidence
        if len(evidence.windows) > 16:
            evidence = replace(evidence, windows=pairs(evidence.windows), looks=2 * evidence.looks)
        elif evidence.last is not None:
            evidence = replace(evidence, last=None)
        else:
            evidence = Evidence()
        kept = replace(kept, evidence=evidence)
    return packed


def _packed(document: bytes) -> str:
    # No time in it: what is the same shall look the same.
    return base64.b64encode(gzip.compress(document, mtime=0)).decode()


def _unpacked(config_map: Obj | None, key: str) -> bytes | None:
    packed = (config_map or {}).get("binaryData", {}).get(key)
    if not packed:
        return None
    unpacker = zlib.decompressobj(wbits=31)
    try:
        document = unpacker.decompress(base64.b64decode(packed), _MOST_UNPACKED)
    except (binascii.Error, ValueError, zlib.error):
        return None
    return None if unpacker.unconsumed_tail else document
