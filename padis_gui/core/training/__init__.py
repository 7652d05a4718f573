"""Training patch priors."""
