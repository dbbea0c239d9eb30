"""The handlers, a module a noun: a `Call` enters, an `Answer` leaves, with one service call between."""
