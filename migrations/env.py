"""Where Alembic enters: on the connection it is handed, else on `-x db=sqlite:///copy.sqlite`.

It never touches logging, which belongs to the host program.
"""

import sqlalchemy as sa
from alembic import context

from tensorcache import schema


def migrate(connection: sa.Connection) -> None:
    """Bring what `connection` leads to up to the asked revision, inside its transaction."""
    context.configure(connection, target_metadata=schema.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    migrate(handed)
else:
    url = context.get_x_argument(as_dictionary=True)["db"]
    with sa.create_engine(url, poolclass=sa.pool.NullPool).begin() as own:
        migrate(own)
