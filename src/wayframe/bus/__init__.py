"""The news: events by MQTT topic filter, in this process.

Events go in through `Bus.publish` (one event) and `Bus.publish_record` (one event that stands for many topics, such as
a telemetry record); they come out at subscriptions whose filter matches: `+`, `#` and comma alternatives. The bus knows
nothing of what an event means, and an event nobody listens to costs one cached look-up.
"""

from .bus import Bus, Subscription, Tap
from .topics import Below, InvalidFilter, TopicTree, is_level, matches, split_filter

__all__ = ["Below", "Bus", "InvalidFilter", "Subscription", "Tap", "TopicTree", "is_level", "matches", "split_filter"]
