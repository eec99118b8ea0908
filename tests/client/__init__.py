"""The clients in bentos/client, each a package of its own."""
