"""users, port 3030: accounts, sessions, roles, and the keys that access tokens are signed with.

Other services verify access tokens by the published keys and ask nothing. Its worker is a process of its own
(`python -m users.worker`): it sends mail, tells other services what happened to accounts, and changes the keys in time.
"""
