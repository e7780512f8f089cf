"""Brings up a real Kubernetes with Knative, Kourier and KServe for the demo and the tests.

Three providers stand behind one small interface (``cluster.providers``): a cluster the user already has, kind
where a Docker engine answers, and an *embedded* cluster elsewhere, whose programs are built with Go.

How the embedded cluster keeps to itself: each of its processes runs in a network namespace of its own, joined
to the host by one veth pair, and keeps its files under one run folder. Taking it down is therefore: end what
is recorded, what is in its cgroup and what names its run folder; unmount what is under that folder; delete
the namespace (pod interfaces and iptables rules go with it) and one set of commented host rules.
"""
