"""What the chart makes of its values."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fathom_api.crd import KINDS
from fathom_operator.settings import Settings

ROOT = Path(__file__).parents[3]


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [each for each in objects if each["kind"] in kinds]


def operator_pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return of_kind(objects, "Deployment")[0]["spec"]["template"]


def environment(objects: list[dict[str, Any]]) -> dict[str, Any]:
    entries = operator_pod(objects)["spec"]["containers"][0]["env"]
    return {entry["name"]: entry.get("value") for entry in entries}


def rules(*roles: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def documented_rules(heading: str) -> set[tuple[str, str, str]]:
    """The rows of the table below `heading` in operator/RBAC.md."""
    section = (ROOT / "operator" / "RBAC.md").read_text().split(f"## {heading}")[1].split("\n## ")[0]
    found: set[tuple[str, str, str]] = set()
    for row in re.findall(r"^\| (`[^|]*`|\(core\)) \| ([^|]*) \| ([^|]*) \|", section, re.MULTILINE):
        group = "" if row[0] == "(core)" else row[0].strip("`")
        resources = re.findall(r"`([^`]+)`", row[1])
        verbs = [verb.strip() for verb in row[2].split(",")]
        found |= {(group, resource, verb) for resource in resources for verb in verbs}
    assert found
    return found


def test_the_operator_runs_under_the_restricted_pod_security_standard(render: Callable[..., Any]) -> None:
    pod = operator_pod(render())["spec"]
    container = pod["containers"][0]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {next(iter(set(volume) - {"name"})) for volume in pod["volumes"]} == {"emptyDir"}


def test_every_variable_is_one_that_the_operator_reads(render: Callable[..., Any]) -> None:
    read = {str(field.validation_alias) for field in Settings.model_fields.values()}

    assert set(environment(render())) <= read


def test_the_operator_accepts_its_environment(render: Callable[..., Any]) -> None:
    given = environment(render(watchNamespaces=["shop", "media"])) | {
        "POD_NAME": "fathom-0",
        "POD_NAMESPACE": "fathom-system",
    }
    settings = Settings.from_environment(given)

    assert settings.namespaces == ("shop", "media")
    assert settings.progress_url == "https://fathom-progress.fathom-system.svc:8443"
    assert settings.captioner_image == "dev.local/fathom-captioner:0.1.0"


def test_the_operator_knows_the_prices(render: Callable[..., Any]) -> None:
    priced = environment(render(prices={"cpuHour": 0.05, "gpuHour": {"nvidia.com/gpu": 2.5}}))
    prices = Settings.from_environment(priced).prices
    assert prices.cost({"cpu": 36_000.0, "nvidia.com/gpu": 3600.0}) == "3.00 USD"
    assert Settings.from_environment(environment(render())).prices.cost({"cpu": 3600.0}) is None


def test_the_progress_service_has_the_address_pods_are_given_and_selects_the_leader(
    render: Callable[..., Any],
) -> None:
    objects = render()
    service = next(s for s in of_kind(objects, "Service") if s["metadata"]["name"] == "fathom-progress")
    selector = dict(service["spec"]["selector"])

    assert selector.pop("fathom.dev/leader") == "true"
    assert selector.items() <= operator_pod(objects)["metadata"]["labels"].items()
    assert "fathom.dev/leader" not in operator_pod(objects)["metadata"]["labels"]


@pytest.mark.parametrize(
    ("suffix", "heading"),
    [
        pytest.param("-watched", "In the namespaces it watches", id="where it watches"),
        pytest.param("-tokens", "Across the cluster, always", id="in the cluster"),
        pytest.param("fathom", "In the operator's own namespace", id="at home"),
    ],
)
def test_the_operator_may_do_what_its_documentation_says_and_no_more(
    render: Callable[..., Any], suffix: str, heading: str
) -> None:
    roles = of_kind(render(rbac={"aggregate": False}), "ClusterRole", "Role")
    own = [
        role
        for role in roles
        if role["metadata"]["name"].endswith(suffix) and (role["kind"] == "Role") == (suffix == "fathom")
    ]

    assert rules(*own) == documented_rules(heading)


def test_with_namespaces_named_rights_end_at_their_borders(render: Callable[..., Any]) -> None:
    objects = render(watchNamespaces=["shop", "media"])
    wide = [binding["roleRef"]["name"] for binding in of_kind(objects, "ClusterRoleBinding")]
    narrow = {
        binding["metadata"]["namespace"]
        for binding in of_kind(objects, "RoleBinding")
        if binding["roleRef"]["name"].endswith("-watched")
    }

    assert wide == ["fathom-system-fathom-tokens"]
    assert narrow == {"shop", "media"}


@pytest.mark.parametrize(
    ("crds", "policies"),
    [
        pytest.param({}, ["keep"] * len(KINDS), id="kept by default"),
        pytest.param({"keep": False}, [None] * len(KINDS), id="removed with the release if asked"),
        pytest.param({"enabled": False}, [], id="left to somebody else"),
    ],
)
def test_crds(render: Callable[..., Any], crds: dict[str, bool], policies: list[str | None]) -> None:
    made = of_kind(render(crds=crds), "CustomResourceDefinition")

    assert [crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy") for crd in made] == policies


def test_crds_are_those_of_the_repository(render: Callable[..., Any]) -> None:
    made = {crd["metadata"]["name"]: crd["spec"] for crd in of_kind(render(), "CustomResourceDefinition")}
    files = (yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*s.yaml"))

    assert made == {crd["metadata"]["name"]: crd["spec"] for crd in files}


@pytest.mark.parametrize(
    ("values", "kind", "count"),
    [
        pytest.param({}, "PodDisruptionBudget", 1, id="two replicas"),
        pytest.param({"operator": {"replicas": 1}}, "PodDisruptionBudget", 0, id="one: drains would hang"),
        pytest.param({}, "NetworkPolicy", 0, id="no network policy unless asked"),
        pytest.param({"networkPolicy": {"enabled": True}}, "NetworkPolicy", 1, id="one if asked"),
        pytest.param({"metrics": {"podMonitor": {"enabled": True}}}, "PodMonitor", 1, id="if asked"),
        pytest.param({"serviceAccount": {"create": False}}, "ServiceAccount", 0, id="another account"),
        pytest.param({"rbac": {"create": False}}, "ClusterRole", 0, id="somebody else's roles"),
    ],
)
def test_switches(render: Callable[..., Any], values: dict[str, Any], kind: str, count: int) -> None:
    assert len(of_kind(render(**values), kind)) == count


def test_an_image_that_is_named_is_taken_whole(render: Callable[..., Any]) -> None:
    objects = render(images={"operator": "example.com/op@sha256:abc", "repository": "example.com/fathom"})

    assert operator_pod(objects)["spec"]["containers"][0]["image"] == "example.com/op@sha256:abc"
    assert environment(objects)["FATHOM_IMAGE_RANKER"] == "example.com/fathom/fathom-ranker:0.1.0"
    assert environment(objects)["FATHOM_IMAGE_RETRIEVER"] == "example.com/fathom/fathom-retriever:0.1.0"


def test_people_who_may_edit_may_edit_ours(render: Callable[..., Any]) -> None:
    roles = {role["metadata"]["name"]: role for role in of_kind(render(), "ClusterRole")}
    edit = roles["fathom-system-fathom-edit"]

    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert ("fathom.dev", "recmodels", "create") in rules(edit)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"replicas": 3}, "replicas", id="a value at the wrong place"),
        pytest.param({"operator": {"replicas": "two"}}, "integer", id="a word for a number"),
        pytest.param({"images": {"pullPolicy": "Sometimes"}}, "pullPolicy", id="no such policy"),
        pytest.param({"images": {"ranker": "no-tag"}}, "ranker", id="an image without a tag"),
        pytest.param({"watchNamespaces": ["Shop"]}, "watchNamespaces", id="no name of a namespace"),
        pytest.param({"networkPolicy": {"apiServerPorts": []}}, "apiServerPorts", id="no way out"),
    ],
)
def test_mistakes_are_refused_with_the_name_of_the_value(
    refusal: Callable[..., str], values: dict[str, Any], words: str
) -> None:
    assert words in refusal(**values)


def test_secrets_are_read_only_where_rollouts_are_let_show_tokens(render: Callable[..., Any]) -> None:
    def watched(**values: Any) -> set[tuple[str, str, str]]:
        roles = of_kind(render(**values), "ClusterRole")
        return rules(*(role for role in roles if role["metadata"]["name"].endswith("-watched")))

    assert watched(rbac={"readTokens": True}) - watched() == {("", "secrets", "get")}


def test_the_operator_may_go_where_further_rules_let_it(render: Callable[..., Any]) -> None:
    further = {"to": [{"ipBlock": {"cidr": "10.1.2.3/32"}}], "ports": [{"port": 9090}]}

    policies = of_kind(render(networkPolicy={"enabled": True, "extraEgress": [further]}), "NetworkPolicy")

    assert further in policies[0]["spec"]["egress"]
