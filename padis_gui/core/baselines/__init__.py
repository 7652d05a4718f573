"""What diffusion is compared with: classical reconstructions behind the solvers' interface, one a file."""

# The registry of solvers lists the baselines and they build on its iterates: loaded first, it lets either package
# be imported by itself.
import padis_gui.core.solvers.registry  # noqa: F401
