"""Linear algebra of tensors and spectra; knows nothing of networks, runs or reports."""
