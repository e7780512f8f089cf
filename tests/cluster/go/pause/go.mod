module fathom.dev/cluster/pause

go 1.25.0
