"""Serving a model bundle over the open inference protocol.

`query`, `v1` and `v2` read requests, `scoring` scores them on threads of its own, `predictor` is the KServe
model that puts these together, `edge` is what every request passes on its way in and out.
"""
