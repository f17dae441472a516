"""The command `attention-jax sample`: what a language model that was trained here writes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attention_jax.options import parse

PROGRAM = "attention-jax"


def sample(words: Sequence[str]) -> None:
    """Writes what the words of the command line ask for to standard output.

    Raises:
      ValueError: an option does not fit, or the folder holds no trained language model.
    """

    def asked(
        run: Path,
        prompt: str | None = None,
        tokens: int = 200,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float = 1.0,
        min_p: float = 0.0,
        stop: bool = True,
        count: int = 1,
        seed: int = 0,
    ) -> dict:
        r"""Write text with a language model.

        Args:
          run: the folder of a run of `attention-jax learn language`
          prompt: what the text goes on from; None: a text of its own
          tokens: how many to write, at most
          temperature: below 1 likely tokens become likelier; 0 always takes the likeliest
          top_k: only the so many likeliest tokens
          top_p: only the fewest likeliest tokens that have this share together
          min_p: only tokens with at least this share of what the likeliest has
          stop: a text may end before
          count: how many texts
          seed: decides all draws
        """
        return locals()

    given = parse(asked, f"{PROGRAM} sample", words)
    for name in ("tokens", "count"):
        if given[name] < 1:
            raise ValueError(f"{name} is {given[name]}; 1 or more would fit")
    if not 0 <= given["seed"] < 2**32:
        raise ValueError(f"seed is {given['seed']}; a number from 0 to 2**32 - 1 would fit")
    from attention_jax.decoding.sampling import SamplingConfig, continued
    from attention_jax.tasks.language import beginning, read_model

    names = ("temperature", "top_k", "top_p", "min_p", "stop")
    config = replace(SamplingConfig(), **{name: given[name] for name in names})
    task, codec, model = read_model(given["run"])
    prompt = beginning(task.data, codec) if given["prompt"] is None else given["prompt"]
    texts = [prompt] * given["count"]
    how = {"seed": given["seed"], "config": config}
    for text in continued(model, codec, texts, given["tokens"], **how):
        print(f"{given['prompt'] or ''}{text}", flush=True)
