"""CleanCash control units (CCSP): a tap between till and unit."""
