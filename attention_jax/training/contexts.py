"""What Orbax is told before it writes or reads."""

from typing import Any

from attention_jax.training import peers
from attention_jax.training.manifest import NAME


def with_manifest() -> Any:
    """The Orbax context in which a manifest is a readable file of JSON."""
    from orbax.checkpoint import v1 as ocp

    registry = ocp.handlers.local_registry()
    registry.add(ocp.handlers.JsonHandler, checkpointable_name=NAME)
    context = ocp.Context()
    context.checkpointables.registry = registry
    return context


def alone() -> Any:
    """The Orbax context in which this process waits for no other."""
    from orbax.checkpoint import v1 as ocp

    context = ocp.Context()
    if peers.count() > 1:
        me = peers.index()
        context.multiprocessing.primary_host = me
        context.multiprocessing.active_processes = {me}
        context.multiprocessing.barrier_sync_key_prefix = f"process-{me}"
    return context
