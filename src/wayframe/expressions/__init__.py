"""The expression language: conditions, formulas, templates, `$filter` subscriptions and REST selectors.

In come texts and JSON-like contexts (nested mappings, arrays, scalars) with an Environment (clock, time zone, previous
message); out come values, truth, rendered text, or ids. Nothing here knows devices, reads a clock or does I/O.
"""

from .environment import Context, Environment, Escape, Geofence, Mode
from .errors import ErrorKind, EvaluationError, ExpressionError, RefusedError, SelectorError
from .expression import Expression, compile
from .functions import FUNCTIONS, Function
from .mqtt import MqttFilter, MqttMessage, Subscription, parse_filter, parse_subscription, payload_context
from .paths import split_path
from .selectors import Selection, Selector, compile_selector
from .templates import Template, compile_template
from .values import to_text, truth
from .wildcards import compile_pattern, parse_pattern

__all__ = [
    "FUNCTIONS",
    "Context",
    "Environment",
    "ErrorKind",
    "Escape",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "Function",
    "Geofence",
    "Mode",
    "MqttFilter",
    "MqttMessage",
    "RefusedError",
    "Selection",
    "Selector",
    "SelectorError",
    "Subscription",
    "Template",
    "compile",
    "compile_pattern",
    "compile_selector",
    "compile_template",
    "parse_filter",
    "parse_pattern",
    "parse_subscription",
    "payload_context",
    "split_path",
    "to_text",
    "truth",
]
