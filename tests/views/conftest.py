import pytest

from attention_jax.experiment import prepare, run
from tests.tiny_run import tiny, write_corpus


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A short run, stopped early: enough to look at."""
    base = tmp_path_factory.mktemp("views")
    one = tiny(write_corpus(base / "corpus"))
    run(one, base / "run", quiet=True, prepared=prepare(one.data), stop_after=12)
    return base / "run"
