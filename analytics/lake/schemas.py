"""The HTTP models of the lake."""

from pydantic import Field

from shared.http import AnswerModel


class LakeTable(AnswerModel):
    """A table as it is committed now."""

    name: str
    version: int = Field(description="Number of the last commit.")
    files: int
    bytes: int
    rows: int


class LakeState(AnswerModel):
    """The lake's tables."""

    schema_version: int
    tables: list[LakeTable]
