"""Services as an attacker meets them: with production's limits, on a real Valkey. What is tried must have no effect."""

import pytest


@pytest.fixture
def as_in_production(redis_url: str) -> dict[str, str]:
    """Settings of a service whose gate means it; the challenge is cheap, so that tests can solve it."""
    return {
        "REDIS_URL": redis_url,
        "REDIS_SECONDS_MAX": "2",
        "REFUSE_WHEN_REDIS_DOWN": "sign_in,sign_up,pay,mail,gate",
        "RATE_SCALE": "1",
        "CHALLENGE_COST": "1",
        "CHALLENGE_TRIES": "20",
    }
