"""HTTP: what there is of the lake, for the operator."""

from analytics.lake import schemas
from analytics.lake.sizes import sizes
from analytics.lake.tables import SCHEMA_VERSION
from analytics.wiring import Wiring
from shared.errors import DependencyUnavailable
from shared.http import Routes

internal = Routes("lake", "The data lake, for the site's operator.")


@internal.get("/internal/lake", answer=schemas.LakeState, raises=[DependencyUnavailable])
def show_lake(wiring: Wiring) -> schemas.LakeState:
    """The lake's tables: their last commit, and how many files, bytes and rows it has."""
    tables = [
        schemas.LakeTable(name=size.name, version=size.version, files=size.files, bytes=size.bytes, rows=size.rows)
        for size in sizes(wiring.lake)
    ]
    return schemas.LakeState(schema_version=SCHEMA_VERSION, tables=tables)
