"""The site's navigation: each list of links in an index page becomes a part of the sidebar.

An index page is a plain Markdown file. Its headings are the captions, its links the pages. So GitHub's page
and the sidebar cannot differ, and Sphinx reports each page that no list names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

INDEX_PAGES: Final = {"docs/index", "docs/adr/README"}
_LINK: Final = re.compile(r"^- \[([^\]]+)\]\(([^)#]+)\.md\)", re.MULTILINE)


def toctrees(markdown: str) -> Iterator[str]:
    """The directives that stand for the lists of an index page.

    Args:
        markdown: text of the page, with a heading of the second level above each list.
    """
    for section in re.split(r"^## ", markdown, flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        if pages := [f"{title} <{page}>" for title, page in _LINK.findall(section)]:
            yield "\n".join(["```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```"])


def _add_navigation(_app: Any, page: str, source: list[str]) -> None:
    if page in INDEX_PAGES:
        source[0] = "\n\n".join([source[0], *toctrees(source[0])]) + "\n"


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _add_navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
