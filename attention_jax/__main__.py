"""`python -m attention_jax`: the command line."""

from attention_jax.cli import command

command()
