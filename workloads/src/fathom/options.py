"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TaskFile = Annotated[Path, typer.Option("--task", help="The task, a JSON document.", show_default=False)]
Shard = Annotated[
    int,
    typer.Option(envvar="JOB_COMPLETION_INDEX", min=0, help="Which shard, from 0; in a pod the Job says it."),
]
