"""Page: reports as one HTML file that a person opens, and as Markdown for a pull request.

    report → sections (figures, tables, findings as plain data) → templates

Pure functions of reports; the numbers, names and colour ranges are those of `views`, the
templates, the style sheet and the script lie in `templates`. No torch and no matplotlib.
"""

from dyntools.page.rendering import html, markdown

__all__ = ["html", "markdown"]
