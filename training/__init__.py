"""Trains, measures and publishes the skin model, and fits the heuristics; the service does not need this package."""
