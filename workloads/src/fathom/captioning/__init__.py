"""Captioning: media in, sentences out; and teaching a captioner a domain.

Importing this package registers the vision part of our small model with transformers, so that its checkpoints
open like any other.
"""

from fathom.captioning import vision as vision
