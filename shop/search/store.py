"""SQL of the search: connection first, never a commit."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, text

from shop.search.domain import Hit, Kind, Name, Piece, Spelled

LOCK = 7_317_203_441  # an advisory lock: one process at a time writes the names
SEARCH_MS_MAX = 500
# How alike (pg_trgm's word similarity, 0 to 1) a name must be to a word to be looked at more closely. Low, since of
# a word of four letters one wrong one leaves few trigrams.
LIKENESS_MIN = 0.3

# `score` of a name for a piece of the query; the numbers only order what is found.
#   1     the name is written like that        0.9   one of its words is
#   0.8   one of its words begins so           0.6   it stands inside of it
# Typing errors come below, at most 0.55: neighbours swapped, letters wrong, missing or too many (Levenshtein's
# distance: 1, from seven letters on 2), and words run together (trigrams).
_FIND = """
WITH pieces AS MATERIALIZED (
    SELECT number, unaccent(given.piece) AS piece, how
      FROM unnest(CAST(:numbers AS int[]), CAST(:pieces AS text[]), CAST(:hows AS text[])) AS given (number, piece, how)
), candidates AS (
    SELECT p.number, p.piece, p.how, n.kind, n.name, n.spelling
      FROM pieces p JOIN shop.search_names n ON n.spelling LIKE '%' || p.piece || '%'
    UNION
    SELECT p.number, p.piece, p.how, n.kind, n.name, n.spelling
      FROM pieces p JOIN shop.search_names n ON n.spelling %> p.piece
     WHERE p.how = 'word' AND length(p.piece) >= 4
), scored AS (
    SELECT c.number, c.kind, c.name, CASE
        WHEN c.spelling = c.piece THEN 1.0
        WHEN c.how = 'phrase' THEN 0
        WHEN ' ' || c.spelling || ' ' LIKE '% ' || c.piece || ' %' THEN 0.9
        WHEN ' ' || c.spelling LIKE '% ' || c.piece || '%' THEN 0.8
        WHEN c.how = 'swapped' THEN 0
        WHEN length(c.piece) >= 3 AND c.spelling LIKE '%' || c.piece || '%' THEN 0.6
        WHEN length(c.piece) < 4 THEN 0
        ELSE (SELECT CASE
                WHEN min(d.distance) <= 1 THEN 0.5
                WHEN min(d.distance) <= 2 AND length(c.piece) >= 7 THEN 0.4
                WHEN word_similarity(c.piece, c.spelling) >= 0.5 THEN 0.3 * word_similarity(c.piece, c.spelling)
                ELSE 0 END
              FROM (SELECT levenshtein_less_equal(part, c.piece, 2) AS distance
                      FROM string_to_table(c.spelling, ' ') AS part WHERE length(part) >= 4) AS d)
        END * CASE c.how WHEN 'swapped' THEN 0.55 ELSE 1 END AS score
      FROM candidates c
)
SELECT number, kind, name, max(score) AS score FROM scored WHERE score > 0 GROUP BY number, kind, name
"""


def find(connection: Connection, pieces: Sequence[Piece]) -> list[Hit]:
    """The names that the pieces fit, each with its best score for each place in the query."""
    bound(connection)
    rows = connection.execute(
        text(_FIND),
        {
            "numbers": list(range(len(pieces))),
            "pieces": [piece.text for piece in pieces],
            "hows": [piece.how.value for piece in pieces],
        },
    )
    return [
        Hit(pieces[number].begin, pieces[number].end, Name(Kind(kind), name), float(score))
        for number, kind, name, score in rows
    ]


def bound(connection: Connection) -> None:
    """Ends a search that takes long, for this transaction, and says what is alike."""
    connection.execute(
        text(
            "SELECT set_config('statement_timeout', :longest, true),"
            " set_config('pg_trgm.word_similarity_threshold', :likeness, true)"
        ),
        {"longest": str(SEARCH_MS_MAX), "likeness": str(LIKENESS_MIN)},
    )


def write_names(connection: Connection, names: Collection[Spelled]) -> None:
    """Makes the table hold these names and no others; what is there already is not written again."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    ordered = sorted(names)
    values = {
        "kinds": [each.name.kind.value for each in ordered],
        "names": [each.name.text for each in ordered],
        "spellings": [each.spelling for each in ordered],
    }
    wanted = (
        "SELECT kind, name, unaccent(spelling) FROM unnest(CAST(:kinds AS text[]), CAST(:names AS text[]),"
        " CAST(:spellings AS text[])) AS wanted (kind, name, spelling)"
    )
    connection.execute(text(f"DELETE FROM shop.search_names WHERE (kind, name, spelling) NOT IN ({wanted})"), values)
    connection.execute(
        text(f"INSERT INTO shop.search_names (kind, name, spelling) {wanted} ON CONFLICT DO NOTHING"), values
    )
