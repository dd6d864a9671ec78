"""What a buyer does next: which matches are looked at, which one is wanted, in which category, for how many."""

import numpy as np

from analytics.generator.buyers import Buyers
from analytics.generator.parameters import Parameters
from analytics.generator.tournament import Tournament


class Choices:
    """Draws from the buyers' tastes; used by the simulation, and by the demo's buyers at real sites."""

    def __init__(
        self, tournament: Tournament, buyers: Buyers, parameters: Parameters, chance: np.random.Generator
    ) -> None:
        self.tournament = tournament
        self.buyers = buyers
        self.parameters = parameters
        self._chance = chance

    def happens(self, share: float) -> bool:
        return bool(self._chance.random() < share)

    def seconds(self, mean: float) -> float:
        return float(self._chance.exponential(mean))

    def looked_at(self, buyer: int, passed_over: set[int]) -> list[int]:
        """Indexes of matches in the order in which they are looked at, the likely ones first (Gumbel's trick)."""
        count = min(int(self._chance.poisson(self.buyers.looks[buyer] - 1)) + 1, self.parameters.looks_max)
        keys = self.buyers.liking[buyer] + self._chance.gumbel(size=len(self.tournament.matches))
        keys[list(passed_over)] = -np.inf
        best = np.argsort(-keys)[:count]
        return [int(index) for index in best if keys[index] > -np.inf]

    def wanted(self, buyer: int, looked_at: list[int]) -> list[int]:
        """The matches that a buyer would take now, the dearest first; none at the end of most visits."""
        if not looked_at:
            return []
        liking = self.buyers.liking[buyer]
        share = self.parameters.buy_share * np.exp(-0.15 * (liking.max() - liking[looked_at].max()))
        if not self.happens(float(share)):
            return []
        noise = self._chance.gumbel(scale=0.5, size=len(looked_at))
        return [looked_at[index] for index in np.argsort(-(liking[looked_at] + noise))]

    def categories(self, buyer: int, match: int) -> list[int]:
        """The categories of a match, the one that suits the purse first."""
        pools = self.tournament.pools[match]
        prices = np.array([float(pool.price) for pool in pools.values()])
        scale = prices / max(1.0, float(prices.mean()))
        # Who is thrifty minds the price; who is not takes it for a sign of the better seat.
        keys = self.parameters.price_weight * (0.5 - self.buyers.thrift[buyer]) * scale
        order = np.argsort(-(keys + self._chance.gumbel(scale=0.5, size=len(prices))))
        return [list(pools)[index] for index in order]

    def quantity(self) -> int:
        return 2 if self.happens(self.parameters.pair_share) else 1

    def words(self, buyer: int, match: int) -> str:
        """What is typed into the search: mostly a team, now and then a stadium."""
        if self.happens(0.2):
            return self.tournament.matches[match].location.lower()
        likely = self.tournament.chances[match]
        team = int(likely.argmax()) if self.happens(0.6) and likely.max() > 0 else int(self.buyers.favourite[buyer])
        return self.tournament.teams[team].lower()
