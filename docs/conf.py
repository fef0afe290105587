"""The pages as a site: `.venv/bin/sphinx-build -W --keep-going docs .run/site`. Each is plain Markdown all the same.

The navigation is what `index.md` links to, in that order; `architecture.md` becomes the file it points to; what lies
outside of this directory is named in place of being linked to.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

from worker import __version__ as release

HERE = Path(__file__).parent
_OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")

project = "CRM Mail Router"
copyright = "the authors of CRM Mail Router"
version = release
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # made of headings as on the usual hosts of Markdown
nitpicky = True
html_theme = "alabaster"
html_theme_options = {"description": f"Version {release}", "fixed_sidebar": True, "page_width": "1100px"}
html_show_sphinx = False


def read(_app: Sphinx, page: str, source: list[str]) -> None:
    """Before Markdown is parsed."""
    if page == "index":
        pages = re.findall(r"\]\(([a-z-]+)\.md\)", source[0])
        source[0] += "\n```{toctree}\n:hidden:\n" + "\n".join(pages) + "\n```\n"
    elif page == "architecture":
        source[0] = (HERE.parent / "ARCHITECTURE.md").read_text(encoding="utf-8").replace("](docs/", "](")
    source[0] = _OUTSIDE.sub(_named, source[0].replace("](../ARCHITECTURE.md", "](architecture.md"))


def _named(link: re.Match[str]) -> str:
    text, path = link.groups()
    return f"`{path}`" if text in path else f"{text} (`{path}`)"


def setup(app: Sphinx) -> None:
    app.connect("source-read", read)


# The names of recording rules (level:metric:operation) are PromQL, though not to this lexer.
suppress_warnings = ["misc.highlighting_failure"]
