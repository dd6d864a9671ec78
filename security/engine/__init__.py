"""The engine: decides about every request of every service, in the service's own process, with one question to Redis.

It is shared code, as the counters of `shop.inventory` are: each service makes a `gate` from it. The service `security`
is where operators change its lists and read its audit log.
"""
