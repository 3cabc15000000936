"""Dry contacts: pulses on GPIO lines or on the modem lines of a serial port."""
