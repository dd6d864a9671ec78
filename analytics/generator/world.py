"""Where buyers come from, whom they may follow, and where the stadiums are: the model's geography.

Weights are rough shares of who bought tickets in 2022; appeal is how well known a team is, from 0 to 1. What the
recommender knows of regions is a table of its own: it shall not be tested on what it was told.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Country:
    """`weight` is relative; `utc_hours` is the clock there; `team` may be one that is not in the tournament."""

    code: str
    weight: float
    region: str
    utc_hours: int
    language: str
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """`appeal` is from 0 to 1."""

    region: str
    appeal: float


@dataclass(frozen=True, slots=True)
class Venue:
    """A stadium: its city, and where it is, in degrees."""

    city: str
    latitude: float
    longitude: float


LATIN, NORTH, EUROPE, AFRICA, GULF, ASIA, OCEANIA = "latin", "north", "europe", "africa", "gulf", "asia", "oceania"

COUNTRIES = (
    Country("QA", 16.0, GULF, 3, "ar", "Qatar"),
    Country("US", 9.0, NORTH, -6, "en", "USA"),
    Country("SA", 8.0, GULF, 3, "ar", "Saudi Arabia"),
    Country("GB", 7.0, EUROPE, 0, "en", "England"),
    Country("MX", 6.5, LATIN, -6, "es", "Mexico"),
    Country("AR", 6.0, LATIN, -3, "es", "Argentina"),
    Country("AE", 5.0, GULF, 4, "ar"),
    Country("BR", 5.0, LATIN, -3, "pt", "Brazil"),
    Country("FR", 4.0, EUROPE, 1, "fr", "France"),
    Country("DE", 3.5, EUROPE, 1, "de", "Germany"),
    Country("IN", 3.5, ASIA, 5, "en"),
    Country("ES", 2.5, EUROPE, 1, "es", "Spain"),
    Country("MA", 2.5, AFRICA, 1, "fr", "Morocco"),
    Country("JP", 2.2, ASIA, 9, "ja", "Japan"),
    Country("NL", 2.0, EUROPE, 1, "nl", "Netherlands"),
    Country("PT", 1.8, EUROPE, 0, "pt", "Portugal"),
    Country("CA", 1.8, NORTH, -5, "en", "Canada"),
    Country("AU", 1.8, OCEANIA, 10, "en", "Australia"),
    Country("EC", 1.5, LATIN, -5, "es", "Ecuador"),
    Country("KR", 1.5, ASIA, 9, "ko", "Korea Republic"),
    Country("CO", 1.4, LATIN, -5, "es"),
    Country("BE", 1.2, EUROPE, 1, "nl", "Belgium"),
    Country("TN", 1.2, AFRICA, 1, "fr", "Tunisia"),
    Country("UY", 1.0, LATIN, -3, "es", "Uruguay"),
    Country("CH", 1.0, EUROPE, 1, "de", "Switzerland"),
    Country("PL", 1.0, EUROPE, 1, "pl", "Poland"),
    Country("HR", 1.0, EUROPE, 1, "hr", "Croatia"),
    Country("KW", 1.0, GULF, 3, "ar"),
    Country("EG", 1.0, AFRICA, 2, "ar"),
    Country("CL", 0.9, LATIN, -4, "es"),
    Country("PE", 0.9, LATIN, -5, "es"),
    Country("CR", 0.9, LATIN, -6, "es", "Costa Rica"),
    Country("DK", 0.9, EUROPE, 1, "da", "Denmark"),
    Country("IR", 0.9, GULF, 3, "fa", "Iran"),
    Country("GH", 0.8, AFRICA, 0, "en", "Ghana"),
    Country("SN", 0.8, AFRICA, 0, "fr", "Senegal"),
    Country("CM", 0.7, AFRICA, 1, "fr", "Cameroon"),
    Country("RS", 0.7, EUROPE, 1, "sr", "Serbia"),
    Country("CN", 0.7, ASIA, 8, "zh"),
    Country("IT", 0.7, EUROPE, 1, "it"),
    Country("NG", 0.5, AFRICA, 1, "en"),
)

TEAMS = {
    "Argentina": Team(LATIN, 1.0),
    "Brazil": Team(LATIN, 1.0),
    "France": Team(EUROPE, 0.9),
    "England": Team(EUROPE, 0.9),
    "Spain": Team(EUROPE, 0.85),
    "Germany": Team(EUROPE, 0.85),
    "Portugal": Team(EUROPE, 0.85),
    "Netherlands": Team(EUROPE, 0.7),
    "Belgium": Team(EUROPE, 0.65),
    "Croatia": Team(EUROPE, 0.6),
    "Mexico": Team(LATIN, 0.65),
    "Uruguay": Team(LATIN, 0.6),
    "Qatar": Team(GULF, 0.45),
    "USA": Team(NORTH, 0.5),
    "Morocco": Team(AFRICA, 0.5),
    "Japan": Team(ASIA, 0.45),
    "Saudi Arabia": Team(GULF, 0.4),
    "Senegal": Team(AFRICA, 0.4),
    "Korea Republic": Team(ASIA, 0.4),
    "Denmark": Team(EUROPE, 0.4),
    "Switzerland": Team(EUROPE, 0.4),
    "Poland": Team(EUROPE, 0.4),
    "Ghana": Team(AFRICA, 0.35),
    "Cameroon": Team(AFRICA, 0.35),
    "Serbia": Team(EUROPE, 0.35),
    "Ecuador": Team(LATIN, 0.35),
    "Canada": Team(NORTH, 0.3),
    "Australia": Team(OCEANIA, 0.3),
    "Tunisia": Team(AFRICA, 0.3),
    "Wales": Team(EUROPE, 0.3),
    "Iran": Team(GULF, 0.3),
    "Costa Rica": Team(LATIN, 0.25),
}
UNKNOWN_TEAM = Team("elsewhere", 0.3)

VENUES = {
    "Ahmad bin Ali Stadium": Venue("Al Rayyan", 25.330, 51.342),
    "Al Bayt Stadium": Venue("Al Khor", 25.652, 51.488),
    "Al Janoub Stadium": Venue("Al Wakrah", 25.159, 51.574),
    "Al Thumama Stadium": Venue("Doha", 25.235, 51.532),
    "Education City Stadium": Venue("Al Rayyan", 25.311, 51.424),
    "Khalifa International Stadium": Venue("Al Rayyan", 25.264, 51.448),
    "Lusail Stadium": Venue("Lusail", 25.421, 51.490),
    "Stadium 974": Venue("Doha", 25.289, 51.566),
}
