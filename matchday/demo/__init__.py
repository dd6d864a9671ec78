"""`make demo`: several sites of ours and partners on one broker, buyers at all of them, and an audit at the end."""
