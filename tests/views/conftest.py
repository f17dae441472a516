import shutil
from contextlib import contextmanager

import pytest

from attention_jax.experiment import prepare, run
from attention_jax.views.head_view import head_view
from tests.tiny_run import tiny, write_corpus
from tests.views.pages import READINGS, state

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"needs one of {', '.join(NAMES)}")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--no-first-run",
)  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A short run, stopped early: enough to look at."""
    base = tmp_path_factory.mktemp("views")
    one = tiny(write_corpus(base / "corpus"))
    run(one, base / "run", quiet=True, prepared=prepare(one.data), stop_after=12)
    return base / "run"


@pytest.fixture(scope="module")
def browser():
    """One for each file of tests; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip(f"needs one of {', '.join(NAMES)}")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install playwright"
    )
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield found
        found.close()


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """Opens a view from disk; leaving it, nothing may have gone wrong or been asked for outside."""

    @contextmanager
    def opening(view, **options):
        path = view.save(tmp_path_factory.mktemp("view") / "view.html")
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **options})
        wrong = []

        def routed(route):
            if route.request.url.startswith("file:"):
                return route.continue_()
            wrong.append(route.request.url)
            return route.abort()

        context.route("**/*", routed)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message) or dialog.dismiss())
        page.goto(path.as_uri())
        yield page
        assert not wrong
        context.close()

    return opening


@pytest.fixture(scope="module")
def translators(opened):
    """One page for all tests that say anew what they look at."""
    start = {"attention": "cross", "layer": 1, "head": None, "query": 2, "beside": 3}
    with opened(head_view(READINGS, title="A translator", **start)) as page:
        found = {"kind": "cross", "layer": 1, "head": -1, "query": 2, "other": 3}
        assert found.items() <= state(page).items()
        yield page
