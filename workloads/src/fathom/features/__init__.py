"""From captions to token ids, the categorical features of an item.

`lexicon` (`fields` for JSON) turns captions into `sequences` of numbers; a strategy in `tokenisers` says
which terms those have, by means of `grams` and `counting`; `vocabulary` says which of them have which id;
`encoding` picks the tokens of each item. `aspect` puts that together for one question, `command` for a run;
`coverage` and `drift` tell how good it is and how it changed. `words` is the plain definition of a word.
"""
