"""padis_gui: the desktop workbench for patch-diffusion reconstruction.

Three storeys; imports go down only (``lint-imports`` proves it):

- :mod:`padis_gui.core`: the mathematics, without Qt: operators, tilings, the patch prior, solvers,
  training, files. Importable and scriptable by itself.
- :mod:`padis_gui.viewmodels`: what the window knows and can do (QtCore only), testable without a widget.
- :mod:`padis_gui.gui`: widgets, without mathematics.

``padis_gui.cli`` drives the core from the command line and imports no Qt.
"""

__version__ = "0.1.0"
