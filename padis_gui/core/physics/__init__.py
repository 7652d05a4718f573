"""The physics of measurements: how they are taken, simulated and computed with."""
