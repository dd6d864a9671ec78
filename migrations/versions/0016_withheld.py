"""What is kept back of a seller's credit, when money went back for the same tickets."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SUM = "payouts_sum"


def upgrade() -> None:
    withheld = sa.Column("withheld", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    op.add_column("payouts", withheld, schema="payments")
    _check("fee >= 0 AND withheld >= 0 AND amount >= 0 AND fee + withheld + amount = price")


def downgrade() -> None:
    _check("fee >= 0 AND amount >= 0 AND fee + amount = price", "UPDATE payments.payouts SET fee = price - amount")
    op.drop_column("payouts", "withheld", schema="payments")


def _check(condition: str, before: str | None = None) -> None:
    op.drop_constraint(SUM, "payouts", schema="payments", type_="check")
    if before is not None:
        op.execute(before)
    op.create_check_constraint(SUM, "payouts", condition, schema="payments")
