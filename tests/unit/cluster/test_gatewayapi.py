"""Envoy Gateway as the tests use it: no image is asked for that the nodes do not have."""

from __future__ import annotations

import pytest

from cluster import gatewayapi, systemimages

IMAGE = systemimages.name("envoy-gateway")


def test_the_controller_and_what_drains_its_proxies_run_our_image() -> None:
    values = gatewayapi.values(IMAGE)
    assert values["global"]["images"]["envoyGateway"] == {"image": IMAGE, "pullPolicy": "IfNotPresent"}
    provider = values["config"]["envoyGateway"]["provider"]
    assert provider["kubernetes"]["shutdownManager"] == {"image": IMAGE}


@pytest.mark.parametrize(
    ("envoy", "image"),
    [
        pytest.param(systemimages.ENVOY, systemimages.ENVOY, id="the system image"),
        pytest.param(None, None, id="Envoy Gateway's own, where a registry can be reached"),
    ],
)
def test_the_image_of_the_proxies(envoy: str | None, image: str | None) -> None:
    proxy, klass = gatewayapi.objects(envoy)
    deployment = proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    assert deployment["container"].get("image") == image
    assert klass["spec"]["parametersRef"]["name"] == proxy["metadata"]["name"]


def test_a_gateway_is_of_the_class_that_is_installed() -> None:
    gateway = gatewayapi.gateway("public", "shop")
    assert gateway["spec"]["gatewayClassName"] == gatewayapi.objects(None)[1]["metadata"]["name"]
