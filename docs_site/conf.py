"""How Sphinx makes the docs site out of the repository's Markdown files (`make docs`; ADR 25 says why Sphinx).

The sources are the files as GitHub shows them. Three things are for the site alone: its navigation, from the lists of
`docs/index.md` and `docs/adr/README.md`; the reference of the library, from docstrings; the help of each command.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs_site"))

_PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

project = "Connect Audio Consumer"
release = version = _PROJECT["version"]
html_title = f"{project} {release}"
language = "en"
# Dashes alone: a quotation mark stays as typed.
smartquotes_action = "D"

root_doc = "docs/index"
include_patterns = ["docs/**", "events/README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
# Sphinx walks through every folder that is not named here.
exclude_patterns = [
    ".*",
    *(each.name for each in ROOT.iterdir() if each.is_dir() and each.name not in {"docs", "events"}),
]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "navigation", "docstrings", "command_help"]
# Anchors as GitHub makes them, so that a link works in both places.
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
# Output is console text more often than Python.
highlight_language = "text"
