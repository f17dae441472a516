# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · One mechanism, many systems
#
# The attention that translates also tells digits apart and writes text: what differs is what the
# rows are, who may see whom, and what is asked of the last layer. We train two small systems of the
# family from the same blocks, look where they look, and silence their heads one by one.
#
# *About a minute on two cores, nearly all of it training. Run the cells from top to bottom with
# Shift+Enter. Numbers in the text come from the cells; another machine, or another seed, gives
# others.*

# %%
import tempfile
from pathlib import Path

import numpy as np

import attention_jax as aj
from attention_jax.analysis.task_heads import describe
from attention_jax.data.images import PicturesConfig, as_floats, load_pictures
from attention_jax.data.passages import PassagesConfig
from attention_jax.decoding.sampling import SamplingConfig, continued
from attention_jax.models.decoder_only import DecoderOnlyConfig
from attention_jax.models.vision import VisionConfig
from attention_jax.tasks.language import LanguageTask, read_model
from attention_jax.tasks.run import load, run
from attention_jax.tasks.vision import VisionTask
from attention_jax.training.optimizer import OptimizerConfig
from attention_jax.training.training_config import TrainingConfig
from attention_jax.views import language_view
from attention_jax.views.vision_view import attention_over_picture

home = tempfile.TemporaryDirectory()
training = TrainingConfig(
    steps=300,
    smoothing=0.0,
    optimizer=OptimizerConfig(schedule="cosine", peak=4e-3, warmup=30),
    evaluate_every=150,
    checkpoint_every=300,
)

# %% [markdown]
# ## Rows are patches: a picture
#
# A Vision Transformer cuts a picture into patches and treats them as tokens. There is no order to
# mask: every patch may see every other. A row of its own, the *class token*, gathers what the
# answer is made of. The digits here are drawn by the package itself.

# %%
vision = VisionTask(
    data=PicturesConfig(limit=4_000, batch=64, shift=2),
    model=VisionConfig(patch=7, width=32, layers=2, heads=4, feed_forward=64, dropout=0.0),
    training=training,
)
record = run(vision, Path(home.name) / "vision", quiet=True)
print(f"{record['parameters']:,} parameters tell {record['test_accuracy']:.1%} of new digits")

# %% [markdown]
# Where does it look? A row a layer, a column a head: how much of the class token's attention each
# patch gets, the digit drawn over it. The last column, *attention rollout*, multiplies the layers,
# so that it tells how much of each patch has reached the class token in the end.

# %%
seen = load(Path(home.name) / "vision")
picture = load_pictures(vision.data).splits["test"].images[3]
logits, weights = seen.model(as_floats(picture[None]), explain=True)
attention_over_picture(
    picture, np.asarray(weights)[:, 0], title=f"it says {int(np.argmax(logits))}"
)

# %% [markdown]
# ## What is a head worth here?
#
# The same question as of the translator, by the same function: what the loss rises by when a head
# gives nothing.

# %%
found = describe(seen)
worth = {f"layer {h['layer'] + 1}, head {h['head'] + 1}": h["loss_without"] for h in found["heads"]}
print(f"loss with all heads {found['loss']:.3f} nats a picture; it rises without")
for head, loss in sorted(worth.items(), key=lambda item: -item[1]):
    print(f"  {head}  by {loss:+.3f}")

# %% [markdown]
# ## Rows are characters: a text
#
# A language model reads one sequence. What makes it one is the mask: `Causal()`, so that each
# character is told from those before it alone. This one reads the English side of the phrasebook.

# %%
language = LanguageTask(
    data=PassagesConfig(rows=16),
    model=DecoderOnlyConfig(width=64, layers=2, heads=4, feed_forward=128, context=48),
    training=training,
)
record = run(language, Path(home.name) / "language", quiet=True)
print(f"perplexity {record['perplexity']:.2f}, {record['bits_per_character']:.2f} bits a character")
aj.plots.mask(aj.Causal(), shape=(8, 8))

# %% [markdown]
# ## The same logits, drawn in other ways
#
# A *temperature* divides the logits: near 0 the likeliest character is always taken, above 1 the
# unlikely gain. *Top-p* leaves out the tail that has less than a share of the probability together.

# %%
_, codec, model = read_model(Path(home.name) / "language")
for how in (
    SamplingConfig(temperature=0.0),
    SamplingConfig(temperature=0.8),
    SamplingConfig(temperature=1.5),
    SamplingConfig(temperature=1.5, top_p=0.8),
):
    (text,) = continued(model, codec, ["\n"], 60, seed=0, config=how)
    print(f"temperature {how.temperature:.1f}, top-p {how.top_p:.1f}: {text.strip()!r}")

# %% [markdown]
# Opened, it is a page like that of the translator (`attention-jax show --run DIR "the cat"` writes
# the same): each character looks back only.

# %%
(reading,) = language_view.readings(load(Path(home.name) / "language"), ["the cat"])
aj.plots.layers(reading.attentions[0].weights, reading.attentions[0].queries)

# %% [markdown]
# ## More of the family
#
# `attention-jax learn` lists the others: masked words, sentences and names (BERT), captions and
# questions about pictures, digits drawn out of noise (diffusion) or against a critic (SAGAN), and
# spoken digits. Each has the same loop, the same checkpoints, the same `show`.

# %%
home.cleanup()
