"""A small embedding service."""
