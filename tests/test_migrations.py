"""Revisions: they ship, they lead to the tables of schema.py, and views survive them."""

import logging
import os
import shutil
import subprocess
import sys

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from index_rows import A, entry_rows
from test_docs_pages import generate

from tensorcache import schema
from tensorcache.index import Index, revisions

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHANGE = '''"""A column more, made the way that needs the table again."""
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    with op.batch_alter_table("entry", recreate="always") as entry:
        entry.add_column(sa.Column("colour", sa.Text))
'''


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "index.sqlite")


def test_head_is_the_newest_revision_there_is():
    scripts = ScriptDirectory(os.path.join(HERE, "migrations"))

    assert scripts.get_heads() == [schema.HEAD]


def test_revisions_are_ordinals_and_say_why():
    for script in ScriptDirectory(os.path.join(HERE, "migrations")).walk_revisions():
        assert script.revision.isdecimal()
        assert len(script.revision) == 4
        assert script.doc.endswith(".")


def test_the_upgraded_tables_are_those_of_the_schema(path):
    Index(path).prepare()
    engine = sa.create_engine(f"sqlite:///{path}")

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        differences = compare_metadata(context, schema.metadata)

    engine.dispose()
    assert differences == []


def test_an_index_not_yet_made_reads_like_one_just_made(path):
    """The tables that stand in for a missing file have the columns of the real ones."""
    asked = "SELECT * FROM {}"
    missing, made = Index(path + ".missing"), Index(path)
    made.prepare()

    for table in schema.metadata.tables:
        query = asked.format(schema.quoted(table))
        assert missing.query(query) == made.query(query)


def test_a_migration_keeps_rows_and_children_and_makes_the_views_again(path, tmp_path, monkeypatch):
    index = Index(path)
    index.prepare()
    rows = entry_rows({"n": 7}, A, namespace="spam")
    index.add([rows])
    newer = tmp_path / "50%s" / "migrations"
    shutil.copytree(os.path.join(HERE, "migrations"), newer)
    (newer / "versions" / "0003_colour.py").write_text(CHANGE)
    (newer / "head.sql").write_text(generate.head_sql(str(newer)))
    monkeypatch.setattr(revisions, "migrations", lambda: str(newer))
    monkeypatch.setattr(schema, "HEAD", "0003")

    assert index.prepare() is False

    key = rows.manifest.key
    assert index.revision() == "0003"
    assert index.query("SELECT key, colour FROM entry").rows == [(key, None)]
    assert index.query("SELECT entry, name FROM source").rows == [(key, "db")]
    assert index.query("SELECT key, n FROM spam").rows == [(key, 7)]
    assert index.check() == []


def test_a_migration_that_fails_leaves_the_index_as_it_was(path, tmp_path, monkeypatch):
    index = Index(path)
    index.prepare()
    newer = tmp_path / "50%s" / "migrations"
    shutil.copytree(os.path.join(HERE, "migrations"), newer)
    (newer / "versions" / "0003_colour.py").write_text(CHANGE + "    raise RuntimeError('power')\n")
    monkeypatch.setattr(revisions, "migrations", lambda: str(newer))
    monkeypatch.setattr(schema, "HEAD", "0003")

    with pytest.raises(RuntimeError, match="power"):
        index.prepare()

    monkeypatch.undo()
    assert index.revision() == "0002"
    assert index.check() == []


def test_the_migration_is_found_inside_the_package_where_it_is_installed(tmp_path):
    """As a wheel lays it out, and from another directory than the checkout."""
    shutil.copytree(os.path.join(HERE, "tensorcache"), tmp_path / "tensorcache")
    shutil.copytree(os.path.join(HERE, "migrations"), tmp_path / "tensorcache" / "migrations")
    script = "from tensorcache.index import Index; print(Index('index.sqlite').prepare())"

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == "True\n", done.stderr


def test_alembic_s_own_command_line_works_on_a_copy(path):
    """What whoever writes the next revision does: upgrade, then check for differences."""
    config = Config(toml_file=os.path.join(HERE, "pyproject.toml"))
    config.cmd_opts = type("Options", (), {"x": [f"db=sqlite:///{path}"]})()

    command.upgrade(config, "head")
    command.check(config)

    assert Index(path).revision() == schema.HEAD


def test_a_migration_leaves_the_logging_of_the_host_alone(path):
    before = (logging.root.level, list(logging.root.handlers), logging.getLogger("x").disabled)

    Index(path).prepare()

    assert before == (
        logging.root.level,
        list(logging.root.handlers),
        logging.getLogger("x").disabled,
    )


def test_an_index_that_is_up_to_date_needs_no_alembic(path):
    Index(path).prepare()
    script = (
        "import sys; from tensorcache.index import Index\n"
        "Index(sys.argv[1]).prepare(); Index(sys.argv[1]).entries()\n"
        "print('alembic' in sys.modules, 'torch' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, path], cwd=HERE, capture_output=True, text=True, check=True
    )

    assert done.stdout == "False False\n"
