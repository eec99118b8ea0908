"""The skin model: its weights, what runs it, and its state."""
