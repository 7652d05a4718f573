"""The mathematics of patch-diffusion reconstruction, without Qt."""
