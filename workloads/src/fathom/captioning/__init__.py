"""Captioning: media in, sentences out; and teaching a captioner a domain.

Importing `checkpoint` registers the vision part of our small model with transformers, so that its checkpoints
open like any other. Importing this package does not: planning a run needs no torch.
"""
