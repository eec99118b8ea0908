"""How what serves was learned and measured; nothing in here is needed to serve."""
