"""KServe's data plane and model repository, made strict."""

from __future__ import annotations

from fathom.serving.errors import BadRequestError
from fathom.serving.kserve import DataPlane, ModelRepositoryExtension


class StrictDataPlane(DataPlane):
    """KServe's data plane, which is ready when its models are."""

    async def ready(self) -> bool:
        """Return whether every model answers; KServe says yes whatever they do."""
        return all(
            [await self.model_registry.is_model_ready(name) for name in self.model_registry.get_models()]
        )


class FixedRepository(ModelRepositoryExtension):
    """Models that no client can load or unload: a server has one bundle for life."""

    async def load(self, model_name: str) -> None:
        """Refuse."""
        raise BadRequestError("model_name", "Fixed", "this server has one model; roll out a RecModel instead")

    async def unload(self, model_name: str) -> None:
        """Refuse."""
        await self.load(model_name)
