"""What a model computes on its way from the probe to the loss: one pass, streaming sums."""
