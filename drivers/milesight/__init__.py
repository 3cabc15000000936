"""Milesight people counters: JSON over HTTP and MQTT, and LoRaWAN frames through a network server."""
