"""The admission protocol under every interleaving that Hypothesis thinks of: nobody sells a seat twice."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.wire import Action, Line, TicketMessage
from shop.inventory.domain import Pool, State
from tests.unit.protocol_model import HOLD_MS, PRICE, Log, Site, drain

POOLS = {Pool(1, 1): 3, Pool(1, 2): 1}
SITES = ("atlas", "borealis", "cygnus")

pools = st.sampled_from(sorted(POOLS))
sites = st.integers(0, len(SITES) - 1)


class OurSitesOnly(RuleBasedStateMachine):
    """Three sites that follow the protocol, crashing and hanging as they like, and nobody else."""

    @initialize()
    def begin(self) -> None:
        self.log = Log()
        self.sites = [Site(name, self.log, POOLS) for name in SITES]
        self.confirmed_before_loss: dict[Pool, int] = dict.fromkeys(POOLS, 0)

    @rule(site=sites, pool=pools, quantity=st.integers(1, 2))
    def buyer_submits(self, site: int, pool: Pool, quantity: int) -> None:
        self.sites[site].submit(pool, quantity)

    @rule(site=sites, which=st.integers(0, 50))
    def buyer_pays(self, site: int, which: int) -> None:
        held = self.sites[site].own(State.HELD)
        if held:
            self.sites[site].confirm(held[which % len(held)])

    @rule(site=sites, which=st.integers(0, 50), into=st.sampled_from([State.CANCELLED, State.EXPIRED]))
    def hold_ends(self, site: int, which: int, into: State) -> None:
        still_open = self.sites[site].own(State.SUBMITTED, State.HELD)
        if still_open:
            self.sites[site].release(still_open[which % len(still_open)], into)

    @rule(site=sites, crash=st.booleans())
    def relay_sends(self, site: int, crash: bool) -> None:
        self.sites[site].relay(crash_before_mark=crash)
        if crash:
            self.sites[site].relay_restarts()

    @rule(site=sites, count=st.integers(1, 6), crash=st.booleans())
    def consumer_reads(self, site: int, count: int, crash: bool) -> None:
        self.sites[site].consume(count, crash=crash)

    @rule(site=sites)
    def site_catches_up(self, site: int) -> None:
        self.sites[site].relay_restarts()
        while self.sites[site].outbox:
            self.sites[site].relay()
        self.sites[site].consume(self.sites[site].behind())

    @rule(pool=pools, site=sites, other=sites)
    def paid_at_the_last_moment(self, pool: Pool, site: int, other: int) -> None:
        """The dangerous hour: a buyer pays while the outbox stands still, and another site asks meanwhile."""
        self.site_catches_up(site)
        self.site_catches_up(other)
        for sale in self.sites[site].own(State.HELD):
            self.sites[site].confirm(sale)
        self.time_passes(61)
        self.sites[other].submit(pool, 1)
        self.site_catches_up(other)
        for sale in self.sites[other].own(State.HELD):
            self.sites[other].confirm(sale)

    @rule(site=sites)
    def worker_runs(self, site: int) -> None:
        self.sites[site].settle_paid()

    @rule(seconds=st.sampled_from([1, 20, 50, 61, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.log.now_ms += seconds * 1000

    @rule(site=sites)
    def site_loses_its_database_when_all_is_sent(self, site: int) -> None:
        """What was never sent is lost with the database, so this happens with an empty outbox."""
        lost = self.sites[site]
        lost.relay_restarts()
        if not lost.outbox:
            lost.drop_database()

    @invariant()
    def nothing_is_negative(self) -> None:
        for site in getattr(self, "sites", []):
            for counters in site.state.pools.values():
                assert min(counters.held, counters.sold, counters.log_held, counters.log_sold) >= 0

    @invariant()
    def the_log_never_promises_more_than_there_is(self) -> None:
        for site in getattr(self, "sites", []):
            for pool, capacity in POOLS.items():
                counters = site.state.pools[pool]
                assert counters.log_held + counters.log_sold <= capacity
                assert counters.log_sold <= capacity

    @invariant()
    def never_more_sold_than_there_is(self) -> None:
        for pool, capacity in POOLS.items() if hasattr(self, "log") else ():
            reserved = {
                (record.message.client_id, record.message.sale_id): record.message.lines[0].quantity
                for record in self.log.records
                if record.message.action is Action.RESERVED
                and Pool(record.message.match_number, record.message.lines[0].category) == pool
            }
            assert sum(reserved.values()) <= capacity

    def teardown(self) -> None:
        if not hasattr(self, "sites"):
            return
        drain(self.sites)
        self.all_sites_agree()
        self.every_message_is_in_the_log_once()
        self.no_hold_outlives_its_time()

    def all_sites_agree(self) -> None:
        first = self.sites[0].state
        for site in self.sites:
            assert site.state.clock_ms == first.clock_ms
            for pool, counters in site.state.pools.items():
                other = first.pools[pool]
                assert (counters.log_held, counters.log_sold) == (other.log_held, other.log_sold)
                assert (counters.held, counters.sold) == (counters.log_held, counters.log_sold)

    def no_hold_outlives_its_time(self) -> None:
        """Any later record moves the log's clock, and with it every hold that nobody ended goes."""
        self.log.now_ms += HOLD_MS
        message = TicketMessage(Action.CANCELLED, 1, (Line(1, 1, float(PRICE)),), "other", "nobody's")
        self.log.append(message, -len(self.log.records))
        drain(self.sites)
        for site in self.sites:
            assert all(counters.log_held == counters.held == 0 for counters in site.state.pools.values())

    def every_message_is_in_the_log_once(self) -> None:
        seen = [
            (record.message.client_id, record.message.sale_id, record.message.action) for record in self.log.records
        ]
        assert len(seen) == len(set(seen))


class WithPartnersWhoCannotJudge(OurSitesOnly):
    """The same beside partners who sell anyway: our sites still agree, and never sell beyond what the log admits."""

    @rule(
        pool=pools,
        quantity=st.integers(1, 2),
        action=st.sampled_from(list(Action)),
        partner=st.sampled_from([None, "plain"]),
    )
    def plain_partner_sends(self, pool: Pool, quantity: int, action: Action, partner: str | None) -> None:
        line = Line(pool.category, quantity, float(PRICE))
        self.log.append(TicketMessage(action, pool.match_number, (line,), partner, None), -len(self.log.records))

    @rule(pool=pools, quantity=st.integers(1, 2), action=st.sampled_from(list(Action)), sale=st.integers(1, 4))
    def partner_with_sale_ids_sends(self, pool: Pool, quantity: int, action: Action, sale: int) -> None:
        line = Line(pool.category, quantity, float(PRICE))
        message = TicketMessage(action, pool.match_number, (line,), "other", f"sale-{sale}")
        self.log.append(message, -len(self.log.records))

    @invariant()
    def the_log_never_promises_more_than_there_is(self) -> None:
        """Partners without sale ids may: that is what over-commitment is."""

    @invariant()
    def never_more_sold_than_there_is(self) -> None:
        """Partners may; what our sites sell is admitted by the log, which `all_sites_agree` proves."""

    def every_message_is_in_the_log_once(self) -> None:
        """Ours are; theirs need not be."""
        ours = [
            (record.message.client_id, record.message.sale_id, record.message.action)
            for record in self.log.records
            if record.message.client_id in SITES
        ]
        assert len(ours) == len(set(ours))


STEPS = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
OurSitesOnly.TestCase.settings = STEPS
WithPartnersWhoCannotJudge.TestCase.settings = STEPS
TestOurSitesOnly = OurSitesOnly.TestCase
TestWithPartnersWhoCannotJudge = WithPartnersWhoCannotJudge.TestCase
