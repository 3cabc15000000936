"""Modbus counters and turnstiles, RTU and TCP, by a register map."""
