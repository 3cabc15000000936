"""counter-gateway: counters and tills in, durable counts, live conversion, aggregates at the head office."""

__version__ = "0.1.0"
