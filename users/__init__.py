"""users, port 3030: will own accounts, sessions, roles and the keys that sign them. Nothing is built yet."""
