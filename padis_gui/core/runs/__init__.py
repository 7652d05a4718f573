"""Runs: what is chosen, what is opened, one run of it, and what repeats it."""
