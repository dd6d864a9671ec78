"""What somebody does who is challenged."""

import time

import altcha

from security.engine.challenge import Challenges
from security.engine.settings import GateSettings


def solution(settings: GateSettings, address: str = "127.0.0.1") -> dict[str, str]:
    """The header with a solved challenge for this address."""
    made = Challenges(
        settings.service_token, settings.challenge_cost, settings.challenge_tries, settings.challenge_seconds,
        settings.pass_seconds,
    ).make(address, time.time())  # fmt: skip
    challenge = altcha.Challenge.from_dict(made)
    solved = altcha.solve_challenge(challenge)
    assert solved is not None
    return {"X-Challenge-Solution": altcha.Payload(challenge, solved).to_base64()}
