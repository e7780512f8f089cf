"""Interests that users have not met: clusters of items, transitions between them, a planner, a guide.

Item vectors → `clusters` → `transitions` → `planning` (a language model) → `bulk` → `gates` → `table` →
`guide`. Han et al., arXiv 2506.08283; Wang et al., arXiv 2405.16363; the table of pairs: arXiv 2510.20260.
"""
