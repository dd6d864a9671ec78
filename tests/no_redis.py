"""Settings of a service whose gate finds no Redis and decides by itself: for tests that are about something else."""

NO_REDIS = {"REDIS_URL": "redis://127.0.0.1:1/0", "REFUSE_WHEN_REDIS_DOWN": "none"}
