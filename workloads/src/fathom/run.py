"""Running a task: read its document, do it, leave an outcome, end with an exit code the Job understands."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

from pydantic import ValidationError

from fathom.errors import InvalidInputError
from fathom_api.meta import ApiModel, ExitCode
from fathom_api.progress import MAX_TERMINATION_BYTES, TERMINATION_LOG, Outcome

_log = logging.getLogger("fathom")
TaskT = TypeVar("TaskT", bound=ApiModel)


def read_task(file: Path, kind: type[TaskT]) -> TaskT:
    """Return the task in `file` (JSON).

    Raises:
        InvalidInputError: there is no such file, or it is not a task of this kind.
    """
    if not file.is_file():
        raise InvalidInputError("NotFound", f"{file}: no such task file")
    try:
        return kind.model_validate_json(file.read_bytes())
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}" for e in error.errors()
        )
        raise InvalidInputError("InvalidTask", f"{file}: not a {kind.__name__}: {problems}") from error


def run_task(file: Path, kind: type[TaskT], work: Callable[[TaskT], Outcome]) -> NoReturn:
    """Do `work` on the task in `file` and exit: 0 done, 65 the task is wrong, 1 worth another try."""
    # A pod being evicted gets SIGTERM: end through the usual way out, so that what is finished is kept.
    signal.signal(signal.SIGTERM, _terminate)
    with as_process():
        outcome = work(read_task(file, kind))
    _leave(outcome)
    sys.exit(ExitCode.OK)


@contextmanager
def as_process() -> Generator[None]:
    """Log to the terminal; an error in the block becomes an outcome and ends the process: 65 or 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    # A line for each progress report sent would bury what the work has to say.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        yield
    except InvalidInputError as error:
        _log.error("%s: %s", error.reason, error)
        _leave(Outcome(result="Failed", reason=error.reason, message=str(error)))
        sys.exit(ExitCode.INVALID)
    except Exception as error:
        traceback.print_exc()
        _leave(Outcome(result="Failed", reason=type(error).__name__, message=str(error)[:1000]))
        sys.exit(ExitCode.RETRYABLE)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _leave(outcome: Outcome) -> None:
    """Write the termination message; without a pod around us, print it."""
    text = outcome.model_dump_json(by_alias=True, exclude_defaults=True)
    if len(text.encode()) > MAX_TERMINATION_BYTES:
        shorter = outcome.progress.model_copy(update={"samples": []})
        message = outcome.message[:1000]
        text = outcome.model_copy(update={"progress": shorter, "message": message}).model_dump_json(
            by_alias=True, exclude_defaults=True
        )
    log = Path(TERMINATION_LOG)
    if os.environ.get("KUBERNETES_SERVICE_HOST") and log.exists():
        log.write_text(text)
    else:
        print(text)
