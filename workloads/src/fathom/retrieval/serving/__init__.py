"""The retriever behind KServe's protocols, made as the ranker's server is (`fathom.serving`)."""
