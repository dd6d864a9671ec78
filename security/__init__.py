"""security, port 3050: block and allow lists, challenges, the audit log, and the verdict for proxies.

The verdict itself is made in `security.engine`, which every service has in its own process. Owns the schema `security`;
no topics.
"""
