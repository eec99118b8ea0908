"""The skin bento: a photo in, findings out."""

__version__ = "1.0.0"
