"""IMBuildings people counters: frames through a LoRaWAN network server, and the maker's webhook."""
