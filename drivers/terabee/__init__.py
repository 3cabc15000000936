"""Terabee TeraRanger Evo people counters on USB or UART."""
