"""Volumes: every slice of a stack reconstructed by one recipe, on one machine or many, and written as one TIFF.

:mod:`request` says what is wanted, :mod:`slices` makes one slice, :mod:`parts` keeps what is finished on the disk,
:mod:`run` goes through them all, here or on the workers of :mod:`cluster`.
"""
