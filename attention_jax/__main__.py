"""`python -m attention_jax`: the command line."""

import sys

from attention_jax.cli import main

sys.exit(main())
