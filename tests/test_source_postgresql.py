"""PostgreSQL, a real server: what of it counts, and that no password is ever said."""

import importlib.util
import logging
import pathlib
import tempfile
import warnings

import pytest
import sqlalchemy as sa

from tensorcache import database
from tensorcache.errors import SourceMissing, UnkeyableValue
from tensorcache.source import identify

SECRET = "s3cret-of-nobody"
MISSING = [name for name in ("pgserver", "psycopg") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pgserver

                server = pgserver.get_server(folder)
        except Exception as error:  # noqa: BLE001 - whatever keeps it from starting here
            pytest.skip(f"no PostgreSQL server can be started here: {error!r:.200}")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture
def url(server):
    change(
        server,
        "DROP SCHEMA IF EXISTS other CASCADE",
        "DROP SCHEMA public CASCADE",
        "CREATE SCHEMA public",
        "CREATE SCHEMA other",
        "CREATE TABLE game(id INT PRIMARY KEY, day DATE, at TIMESTAMPTZ, pace NUMERIC(6,2), "
        "name TEXT, raw BYTEA, ok BOOLEAN, u UUID, j JSONB, a INT[], s INTERVAL)",
        "INSERT INTO game SELECT i, '2024-01-01', '2024-01-01 10:00:00+02', i / 3.0, 'n' || i, "
        "'\\x00ff', i % 2 = 0, '856fe7e0-4881-4947-973a-dd7d8d87d563', '{\"b\": [1, null]}', "
        "ARRAY[i, NULL], INTERVAL '1 month' FROM generate_series(1, 3000) i",
        "CREATE TABLE note(a INT, j JSON)",
        "INSERT INTO note SELECT i % 7, '[1]' FROM generate_series(1, 100) i",
        "CREATE TABLE word(w VARCHAR(9) PRIMARY KEY)",
        "INSERT INTO word VALUES ('b'), ('A'), ('a'), ('ä'), ('B')",
        "CREATE TABLE other.game(a INT)",
        "CREATE VIEW best AS SELECT max(pace) AS pace FROM game",
    )
    return server


def change(url, *statements):
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def identity(url, **chosen):
    return identify(database(url, **chosen), {}, leaf_digest=lambda _: None)


def with_password(url):
    return url.replace("://postgres:@", f"://postgres:{SECRET}@")


def test_rows_are_what_counts(url):
    before = identity(url)
    change(
        url,
        "CREATE TABLE kept AS SELECT * FROM note ORDER BY a",
        "DELETE FROM note",
        "INSERT INTO note SELECT * FROM kept",
        "DROP TABLE kept",
        "UPDATE game SET ok = ok",
        "CREATE INDEX ON game(day)",
    )

    assert before.text.startswith("postgresql-logical-1:blake3:")
    assert before.kind == "postgresql"
    sizes = {name: part.size for name, part in before.parts.items()}
    assert sizes == {"game": 3000, "note": 100, "word": 5}
    assert identity(url).text == before.text


@pytest.mark.parametrize(
    "assignment",
    [
        "id = 0", "day = day + 1", "at = at + INTERVAL '1 us'", "pace = pace + 0.01", "ok = NULL",
        "name = 'N1'", "raw = '\\x00fe'", "u = 'a56fe7e0-4881-4947-973a-dd7d8d87d563'",
        "j = '{\"b\": [1]}'", "a = ARRAY[1, 0]", "s = INTERVAL '30 days'",
    ],
)  # fmt: skip
def test_every_value_counts_exactly(url, assignment):
    before, note = identity(url, tables=["game"]).text, identity(url, tables=["note"]).text
    change(url, f"UPDATE game SET {assignment} WHERE id = 1")

    assert identity(url, tables=["game"]).text != before
    assert identity(url, tables=["note"]).text == note


@pytest.mark.parametrize(
    ("kind", "one", "two"),
    [
        ("JSONB", "'1.00000000000000000001'", "'1.00000000000000000002'"),
        ("JSON", """'{"a": 1, "a": 2}'""", """'{"a": 3, "a": 2}'"""),
        ("JSON", """'"\\ud800"'""", "'1'"),
        ("INT[]", "'[2:3]={1,2}'::INT[]", "'{1,2}'::INT[]"),
        ("DATE", "'infinity'", "'9999-12-31'"),
        ("TIMESTAMPTZ", "'infinity'", "'-infinity'"),
        ("FLOAT8[]", "ARRAY[0.1::FLOAT8]", "ARRAY[0.1::FLOAT8 + 2e-17]"),
    ],
)
def test_values_that_python_finds_equal_differ(url, kind, one, two):
    texts = set()
    for value in (one, two):
        change(url, "DROP TABLE IF EXISTS odd", f"CREATE TABLE odd(x {kind})")
        change(url, f"INSERT INTO odd VALUES ({value})")
        texts.add(identity(url, tables=["odd"]).text)

    assert len(texts) == 2
    if kind.startswith("JSON"):
        with pytest.raises(UnkeyableValue, match=r"column 'x' is JSON, .* cast it to text"):
            identity(url, queries={"q": "SELECT x FROM odd"})


def test_no_user_is_said(url):
    nobody = url.replace("://postgres:@", "://some%40body:@")
    assert nobody != url
    found = identity(nobody, tables=["game"])

    assert found.text is None
    assert "does not exist" in found.why
    assert "some" not in f"{found}{database(nobody)!r}"


def test_views_queries_and_other_schemas_may_be_named(url):
    assert identity(url, tables=["best", "other.game"]).parts["best"].size == 1
    query = "SELECT id, name FROM game WHERE name LIKE 'n1%' AND ':x' <> name ORDER BY id"
    found = identity(url, queries={"q": query})
    assert found.parts["q"].size == 1111
    assert identity(url, queries={"q": f"{query} DESC"}).text != found.text
    with pytest.raises(SourceMissing, match="no table 'gone': it has game, note, word"):
        identity(url, tables=["gone"])
    with pytest.raises(UnkeyableValue, match='column "gone" does not exist'):
        identity(url, queries={"q": "SELECT gone FROM game"})
    with pytest.raises(UnkeyableValue, match="syntax error at or near"):
        identity(url, queries={"q": "DELETE FROM game RETURNING id"})
    with pytest.raises(UnkeyableValue, match=r"holds a datetime\.timedelta, .* casts it to text"):
        identity(url, queries={"q": "SELECT s FROM game"})


def test_what_others_have_not_committed_does_not_count(url):
    before = identity(url).text
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM note")

        assert identity(url).text == before
        connection.commit()
    assert identity(url).text != before


def test_the_zone_of_a_session_does_not_count(url):
    before = identity(url, tables=["game"]).text
    change(url, "ALTER DATABASE postgres SET timezone = 'Asia/Tokyo'")
    after = identity(url, tables=["game"]).text
    change(url, "ALTER DATABASE postgres RESET timezone")

    assert after == before


def test_no_password_is_said(url, caplog):
    secret = with_password(url)
    assert SECRET in secret
    source = database(secret, tables=["game"])
    found = identity(secret, tables=["game"])
    refused = [
        f"{secret}&connect_timeout={SECRET}",
        secret.replace("@", "@@", 1),
        f"{secret}&x={SECRET}",
        secret.replace("postgresql+psycopg", "nosuch"),
        secret.replace("+psycopg", "+nosuch"),
        f"postgresql+psycopg://u:{SECRET}@host:port/x",
        f"sqlite:///{SECRET}@x",
    ]
    said = [repr(source), str(found), f"{source}", caplog.text]
    for bad in refused:
        with pytest.raises(UnkeyableValue) as caught:
            identity(bad)
        chain = caught.value
        while chain is not None:
            said.append(str(chain))
            chain = None if chain.__suppress_context__ else chain.__cause__ or chain.__context__
    nowhere = identity(f"postgresql+psycopg://u:{SECRET}@localhost:1/league?connect_timeout=1")
    said.append(str(nowhere))

    assert found.text == identity(url, tables=["game"]).text
    assert found.path == "postgresql+psycopg:///postgres"
    assert nowhere.text is None
    assert nowhere.why.startswith("postgresql+psycopg://localhost:1/league cannot be read: ")
    assert [text for text in said if SECRET in text] == []


def test_a_url_has_no_other_level():
    with pytest.raises(UnkeyableValue, match=r"database 'postgresql://h/x': a URL has no level"):
        database(f"postgresql://u:{SECRET}@h/x?password={SECRET}", "bytes")
    assert database("postgresql://h/x").level == "logical"


def test_a_cache_hits_misses_and_does_not_publish_what_moved(cache, url, caplog):
    source = {"db": database(with_password(url), tables=["game"])}

    def get(build=lambda: 1):
        return cache.get_or_build({}, build, version="1", sources=source, namespace="a.b")

    assert get().published
    change(url, "DELETE FROM note")
    assert get().hit
    change(url, "DELETE FROM game WHERE id > 10")
    with caplog.at_level(logging.WARNING, "tensorcache"):
        moved = get(lambda: change(url, "DELETE FROM game WHERE id > 9"))
    assert (moved.published, caplog.messages) == (
        False,
        ["not published: the source 'db' changed while it was read"],
    )
    assert not get().hit
    said = [path.read_bytes() for path in pathlib.Path(cache.root).rglob("*") if path.is_file()]
    assert [data for data in said if SECRET.encode() in data] == []
