"""What masked-word models, sentence classifiers and taggers show of themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attention_jax.data.labelled_text import LabelledTextConfig
from attention_jax.data.masked_text import MaskedTextConfig
from attention_jax.data.tagged_text import TaggedTextConfig
from attention_jax.models.encoder_only_config import EncoderOnlyConfig
from attention_jax.tasks.masked_words import MaskedWordsTask
from attention_jax.tasks.run import Loaded
from attention_jax.tasks.sentences import SentencesTask
from attention_jax.tasks.tags import TagsTask
from attention_jax.training.step import split
from attention_jax.views import masked_view, sentences_view, tags_view

ENCODER = EncoderOnlyConfig(
    width=8, layers=2, heads=2, feed_forward=12, context=40, epsilon=1e-6, dropout=0.0
)


@pytest.fixture
def loaded(tmp_path):
    """From a task to a model of it that has learned nothing, as it comes from a run."""

    def made(task):
        work = task.work()
        for name, content in work.files.items():
            (tmp_path / name).write_bytes(content)
        graph, shapes = split(nnx.eval_shape(lambda: work.make_model(nnx.Rngs(0))))
        draw = np.random.default_rng(0).normal
        params = jax.tree.map(lambda x: jnp.asarray(draw(0, 0.3, x.shape), x.dtype), shapes)
        return Loaded(task, work, nnx.merge(graph, params), tmp_path)

    return made


@pytest.fixture
def words(tmp_path):
    (tmp_path / "text.txt").write_text("".join(f"the boy sees {n} dogs\n" for n in range(30)))
    data = MaskedTextConfig(str(tmp_path / "text.txt"), vocabulary=300)
    return MaskedWordsTask(data=data, model=ENCODER)


def test_a_mask_and_its_guesses(loaded, words):
    found = loaded(words)
    (reading,) = masked_view.readings(found, ["the boy", "[MASK] 3 dogs"])
    (seen,) = reading.attentions
    assert reading.input == "the boy [MASK] 3 dogs"
    assert seen.sources[0] == "<start>" and seen.sources[3] == "[MASK]"
    assert len(seen.weights) == 2 and len(seen.chosen) == len(seen.queries)
    np.testing.assert_allclose(np.stack(seen.weights).sum(-1), 1, atol=1e-5)
    best, share = reading.output.split(", ")[0].rsplit(" ", 1)
    assert best == seen.chosen[3] and 0 < float(share) < 1
    assert masked_view.readings(found, ["the boy"])[0].output == ""
    for text, said in (("a | b", "the model reads no pairs"), (" | ", "a text is empty")):
        with pytest.raises(ValueError, match=said):
            masked_view.readings(found, [text])
    with pytest.raises(ValueError, match="at most 40 would fit"):
        masked_view.readings(found, ["dog"] * 50)


def test_a_sentence_and_its_classes(loaded):
    data = LabelledTextConfig(limit=60, vocabulary=300)
    found = loaded(SentencesTask(data=data, model=ENCODER))
    (reading,) = sentences_view.readings(found, ["Is the ball blue?"])
    shares = dict(one.rsplit(" ", 1) for one in reading.output.split(", "))
    assert len(shares) == 6 and abs(sum(map(float, shares.values())) - 1) < 0.04
    assert list(map(float, shares.values())) == sorted(map(float, shares.values()), reverse=True)
    assert sentences_view.readings(found, [])[0].input
    table = sentences_view.class_table(found, ["Is the ball blue?", "It is"])
    lines = table.splitlines()
    assert len(lines) == 4 and "question" in lines[0] and lines[2].count("likeliest") == 1
    with pytest.raises(ValueError, match="at most 40 would fit"):
        sentences_view.readings(found, ["dog"] * 50)


def test_a_sentence_and_its_tags(loaded):
    found = loaded(
        TagsTask(data=TaggedTextConfig(vocabulary=300, limit=60, max_length=40), model=ENCODER)
    )
    (reading,) = tags_view.readings(found, ["Tarvo lives in Ostrem ."])
    told = [one.rpartition("/")[::2] for one in reading.output.split()]
    assert [word for word, _ in told] == ["Tarvo", "lives", "in", "Ostrem", "."]
    below = [tag for tag in reading.attentions[0].chosen if tag]
    assert below == [tag for _, tag in told]
    assert tags_view.tag_table(reading).splitlines()[2].startswith("| Tarvo | ")
    assert tags_view.readings(found, [])[0].output
    with pytest.raises(ValueError, match="at most 40 would fit"):
        tags_view.readings(found, ["dog"] * 50)
