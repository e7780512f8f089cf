module fathom.dev/cluster/envoy-gateway

go 1.26.0
