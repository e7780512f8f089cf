"""The demo: pictures are captioned, captions become features, a ranker learns with them and is rolled out."""
