"""Tests of the web page, its parts and the clients in a real browser."""
