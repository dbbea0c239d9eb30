"""Wayframe: a self-hosted video-telematics backend, wire-compatible with flespi."""

__version__ = "0.1.0"
