"""From captions to token ids, the categorical features of an item.

`words` and `tokenisers` know how a caption becomes terms and which terms get an id; `captions` reads what the
captioner left, `tables` writes what the ranker reads, `command` puts them together.
"""
