"""What reports call variants."""

from dataclasses import replace
from pathlib import Path

from attention_jax.comparison.labels import config_of, confounds, differing, labels
from attention_jax.models.bahdanau import BahdanauConfig
from attention_jax.models.luong import LuongConfig
from attention_jax.models.rnn_seq2seq import RnnSeq2SeqConfig
from tests.tiny_run import tiny


def test_labels_name_what_differs(corpus):
    base = tiny(corpus)

    def said(*models, data=base.data):
        return labels(
            [replace(base, data=data, model=replace(base.model, **one)) for one in models]
        )

    assert said({"heads": 1}, {"heads": 4}, {"heads": 4}) == ["1 head", "4 heads", "4 heads"]
    assert said({"heads": 2}) == ["2 heads"]
    groups = [{"heads": 4, "key_value_heads": count} for count in (None, 1)]
    assert said(*groups) == ["4 key/value heads", "1 key/value head"]
    several = [{"heads": h, "head_size": k} for h in (1, 4) for k in (8, 16)]
    assert said(*several) == ["1 head of 8", "1 head of 16", "4 heads of 8", "4 heads of 16"]
    assert said({"width": 8}, {"width": 16, "dropout": 0.5}) == ["width 8", "width 16"]
    both = [{"width": w, "dropout": d} for w in (8, 16) for d in (0.0, 0.5)]
    assert said(*both)[1] == "width 8, dropout 0.5"


def test_labels_tell_pruned_runs_apart(corpus):
    base = tiny(corpus)
    one = replace(base.model, decoder_layers=2)
    models = [one, replace(one, encoder_heads=(1,)), replace(one, cross_heads=(0, 1))]
    runs = [replace(base, model=model) for model in models]
    assert labels(runs) == ["all 10 heads", "9 of 10 heads left", "7 of 10 heads left"]
    assert confounds(runs) == []
    runs.append(replace(base, model=replace(one, decoder_heads=(2, 1))))
    assert labels(runs)[1::2] == [
        "9 of 10 heads left, encoder_heads 1",
        "9 of 10 heads left, encoder_heads None",
    ]


def test_what_labels_do_not_say_is_said_apart(corpus):
    base = tiny(corpus)
    runs = [
        replace(base, model=replace(base.model, heads=h, feed_forward=f))
        for h, f in [(1, 40), (2, 32)]
    ]
    assert labels(runs) == ["1 head", "2 heads"]
    assert confounds(runs) == ["Variants differ in model.feed_forward too: 40, 32."]
    moved = replace(base, seed=9, name="x", data=replace(base.data, cache=Path("elsewhere")))
    assert labels([base, moved]) == ["2 heads"] * 2 and confounds([base, moved]) == []


def test_kinds_of_models_are_told_apart_by_their_kind(corpus):
    base = tiny(corpus)
    models = [base.model, RnnSeq2SeqConfig(width=16), BahdanauConfig(width=16)]
    runs = [replace(base, model=replace(model, dropout=0.1, tied=True)) for model in models]
    assert labels(runs) == ["transformer", "rnn seq2seq", "bahdanau"]
    assert confounds(runs) == []
    runs += [
        replace(base, model=LuongConfig(width=width, score=score, dropout=0.1, tied=True))
        for score, width in (("dot", 16), ("general", 24))
    ]
    assert labels(runs)[2:] == ["bahdanau, width 16", "luong, width 16", "luong, width 24"]
    fields = dict(
        (name, (here, there)) for name, here, there in differing(*map(config_of, runs[:2]))
    )
    assert fields["model.kind"] == ("transformer", "rnn_seq2seq")
    assert fields["model.heads"] == (2, "no such field")
