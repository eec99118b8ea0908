"""Bentos: one package per service."""
