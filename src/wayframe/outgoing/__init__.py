"""Requests this server sends because a user says so.

A request enters, and goes to a public address or to one the operator allows, or nowhere; what leaves is whether it was
taken. Who wants it sent, and how often it is tried, `services` knows.
"""

from .http_sender import HttpSender

__all__ = ["HttpSender"]
