"""What is built with Go: one table. Versions live in go/*/go.mod, which go.sum locks."""

from dataclasses import dataclass, field

KUBERNETES_VERSION = "v1.35.4"
KSERVE_VERSION = "v0.20.0"

_VERSION_FLAGS = " ".join(
    f"-X {package}/version.{key}={value}"
    for package in ("k8s.io/component-base", "k8s.io/client-go/pkg")
    for key, value in (("gitVersion", KUBERNETES_VERSION), ("gitMajor", "1"), ("gitMinor", "35"))
)


@dataclass(frozen=True)
class Component:
    """Binaries built from one go.mod, and the manifests that come with its modules."""

    name: str
    binaries: dict[str, str]
    """Name of the binary → Go package."""
    module: str = ""
    """Folder under go/; the component's name unless given."""
    ldflags: str = "-s -w"
    manifests: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Go module → globs inside it."""
    charts: dict[str, str] = field(default_factory=dict[str, str])
    """Go module → a Helm chart's folder inside it, kept as it is."""

    @property
    def folder(self) -> str:
        """The folder under go/ that holds its go.mod."""
        return self.module or self.name


def _kubernetes(*names: str) -> dict[str, str]:
    return {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}


ETCD = Component("etcd", {"etcd": "go.etcd.io/etcd/server/v3"})
KUBERNETES = Component(
    "kubernetes",
    _kubernetes("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"),
    # Without a version Knative refuses the API server as too old.
    ldflags=f"-s -w {_VERSION_FLAGS}",
)
KUBECTL = Component("kubectl", _kubernetes("kubectl"), module="kubernetes", ldflags=f"-s -w {_VERSION_FLAGS}")
PAUSE = Component("pause", {"pause": "."})
KSERVE = Component(
    "kserve",
    {"kserve-manager": "github.com/kserve/kserve/cmd/manager"},
    manifests={
        "github.com/kserve/kserve": (
            f"install/{KSERVE_VERSION}/kserve.yaml",
            f"install/{KSERVE_VERSION}/kserve-crds.yaml",
        )
    },
)
KNATIVE = Component(
    "knative",
    {
        **{f"kn-{n}": f"knative.dev/serving/cmd/{n}" for n in ("activator", "autoscaler", "controller")},
        **{f"kn-{n}": f"knative.dev/serving/cmd/{n}" for n in ("queue", "webhook")},
        "kn-kourier": "knative.dev/net-kourier/cmd/kourier",
    },
    manifests={
        "knative.dev/serving": ("config/core/**/*.yaml",),
        "knative.dev/networking": ("config/*.yaml",),
        "knative.dev/caching": ("config/image.yaml",),
        "knative.dev/net-kourier": ("config/*.yaml",),
    },
)
COREDNS = Component("coredns", {"coredns": "github.com/coredns/coredns"})
HELM = Component("helm", {"helm": "helm.sh/helm/v4/cmd/helm"})

# What only some tests need: see addons.py.
KUEUE = Component(
    "kueue", {"kueue": "sigs.k8s.io/kueue/cmd/kueue"}, charts={"sigs.k8s.io/kueue": "charts/kueue"}
)
S3_SERVER = Component("versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"})

ENVOY_GATEWAY = Component(
    "envoy-gateway",
    {"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"},
    charts={"github.com/envoyproxy/gateway": "charts/gateway-helm"},
)
# Its kinds alone, for an API server without nodes.
GATEWAY_API = Component(
    "gateway-api",
    {},
    module="envoy-gateway",
    manifests={
        "github.com/envoyproxy/gateway": ("charts/gateway-helm/charts/crds/crds/gatewayapi-crds.yaml",)
    },
)

# In this order what others wait for is ready first.
ALL = (ETCD, KUBERNETES, KUBECTL, PAUSE, KSERVE, KNATIVE, COREDNS, HELM)
