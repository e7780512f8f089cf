"""Builders of test objects, shared by unit and integration tests."""
