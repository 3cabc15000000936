"""Skattedosan and PosPlus control units: a tap between till and unit."""
