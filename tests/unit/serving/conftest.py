"""One server in this process, with a small bundle."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.bundles import make_bundle
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fathom.ranking.scorer import Bundle, load
from fathom.serving.command import predictor
from fathom.serving.predictor import Predictor
from fathom.serving.server import Server
from fathom_api.tasks import ServeTask

NAME, VERSION = "movies", "v-0000beef"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def bundle(folder: Path) -> Bundle:
    return load(folder)


@pytest.fixture(scope="session")
def served(folder: Path) -> Predictor:
    return predictor(ServeTask(bundle=str(folder), model_name=NAME, model_version=VERSION))


@pytest.fixture(scope="session")
def client(served: Predictor) -> Iterator[TestClient]:
    with TestClient(Server(served, 8080).wired(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def listening(folder: Path) -> FastAPI:
    """A server that takes outcomes too."""
    task = ServeTask(bundle=str(folder), model_name=NAME, model_version="v-listening", feedback=True)
    return Server(predictor(task), 8080).wired()
