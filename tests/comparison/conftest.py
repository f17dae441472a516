"""What the tests of comparisons share."""

import pytest

from tests.tiny_run import write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))
