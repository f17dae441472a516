"""The page of a report: one HTML file that needs nothing else, no script and no network.

Everything that comes from data goes through `html.escape`; a content policy inside the page forbids
whatever could be fetched or run all the same.
"""

from html import escape
from importlib import resources

from attention_jax.analysis.verdict import verdict
from attention_jax.views.page import Page
from attention_jax.views.sections import sections


def html(page: Page) -> str:
    """The whole page as one HTML document."""
    style = resources.files("attention_jax.views").joinpath("report.css").read_text("utf-8")
    found = sections(page)
    links = "\n".join(f'<a href="#{one.anchor}">{escape(one.short)}</a>' for one in found)
    bodies = "".join(
        f'<section id="{one.anchor}">\n<h2>{escape(one.title)}</h2>\n{one.body}</section>\n'
        for one in found
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(page.title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{escape(page.title)}</h1>
<p class="facts">{escape(" · ".join(page.facts()))}</p>
<div class="verdict"><p>{escape(verdict(page.comparison))}</p></div>
<nav aria-label="Sections">
{links}
</nav>
</header>
{bodies}</main>
</body>
</html>
"""
