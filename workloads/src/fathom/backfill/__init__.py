"""Upgrading an embedding model while its vectors are searched (Seo et al., arXiv 2301.03767, WACV 2025).

`fit` learns from a sample that both models have embedded how queries of the new model find items of the old
one, and how distances in both spaces compare; `examine` says whether to start; `order` says which items move
first. Nothing here knows of Kubernetes.
"""

from fathom.backfill.compatibility import Compatibility
from fathom.backfill.examination import Examination, Queries, examine
from fathom.backfill.fitting import fit
from fathom.backfill.methods import DEFAULT, METHODS
from fathom.backfill.orders import order

__all__ = ["DEFAULT", "METHODS", "Compatibility", "Examination", "Queries", "examine", "fit", "order"]
