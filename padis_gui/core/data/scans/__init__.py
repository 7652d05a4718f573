"""Real tomographic measurements: files of counts or line integrals, with the geometry that they were taken in."""
