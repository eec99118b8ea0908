"""The skin model: what answers when weights are there, and its state when they are not."""
