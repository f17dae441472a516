"""From batches to a trained model: loss, step, optimizer, checkpoints, records."""
