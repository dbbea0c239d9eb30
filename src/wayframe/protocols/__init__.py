"""Device protocols: one package a protocol, all sans-IO.

Bytes from a device go in, typed events come out; commands go in, bytes to send come out. `device` holds the vocabulary
that every protocol shares with the gateway. No sockets, no clocks (time is passed in), no database.
"""
