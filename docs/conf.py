"""The handbook as a site: Sphinx reads the Markdown of this folder. `python packaging/handbook.py` builds it."""

from padis_gui import __version__

project = "padis_gui"
author = "The padis_gui founders"
copyright = "the padis_gui founders; GPL-3.0-or-later"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_site"]
html_theme = "furo"
html_title = f"padis_gui {__version__}"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
