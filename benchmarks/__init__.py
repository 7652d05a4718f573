"""What this machine does with the time: solvers, the operator, the denoiser, and number formats.

One subject a file. Whatever is compared takes turns in the same run, as the load of a machine changes.
"""
