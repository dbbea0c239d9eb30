"""JT/T 808 (2011, 2013, 2019): the signalling link of vehicle terminals, sans-IO.

Bytes of a terminal enter; typed messages, flat device messages and session events leave; commands enter and bytes
leave. Video rides on the same link (`wayframe.protocols.jt1078`).
"""

from .session import Jt808Session, SessionSettings

__all__ = ["Jt808Session", "SessionSettings"]
