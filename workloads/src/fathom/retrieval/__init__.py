"""Searching a gallery while its embeddings are replaced by a newer model's.

`gallery` is what lies on disk, `index` what is searched in memory, `following` brings the one into the other
as parts are committed; `merging` makes one answer of two spaces. `stores` has vector databases behind the
same search. `encoders` turn pictures and texts into vectors, and `retriever` puts these together for the
server.
"""
