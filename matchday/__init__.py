"""The operator's command and the local runner: servers from wheels, one supervisor a site.

Owns `make up`, `make down`, the `matchday` command and the servers that tests and benchmarks use.
Never imported by a service.
"""
