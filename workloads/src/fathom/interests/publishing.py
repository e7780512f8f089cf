"""`fathom publish`: points rankers at a table."""

from __future__ import annotations

from fathom import storage
from fathom.interests import current
from fathom.interests.current import Current
from fathom.interests.reading import outcome
from fathom.serendipity.table import Table
from fathom_api.interest_tasks import PublishTask
from fathom_api.progress import Outcome


def publish(task: PublishTask) -> Outcome:
    """Check the table once more, then name it where rankers look.

    Raises:
        InvalidInputError: it is unfinished or damaged.
    """
    table = Table.read(storage.existing(task.table))
    current.write(
        storage.resolve(task.output), Current(table=task.table, digest=table.version, explore=task.explore)
    )
    return outcome(task.output, table.version, done=table.pairs)
