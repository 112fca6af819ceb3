-- What the revisions make of an empty file. Written by docs/generate.py: do not edit.

CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE source (
	entry TEXT NOT NULL, 
	place INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	path TEXT, 
	identity TEXT, 
	size BIGINT, 
	mtime_ns BIGINT, 
	PRIMARY KEY (entry, place), 
	CONSTRAINT _source_entry FOREIGN KEY(entry) REFERENCES entry ("key") ON DELETE CASCADE
);

CREATE TABLE shard (
	digest TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	path TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (digest)
);

CREATE TABLE entry_shard (
	entry TEXT NOT NULL, 
	shard TEXT NOT NULL, 
	PRIMARY KEY (entry, shard), 
	CONSTRAINT _entry_shard_entry FOREIGN KEY(entry) REFERENCES entry ("key") ON DELETE CASCADE, 
	CONSTRAINT _entry_shard_shard FOREIGN KEY(shard) REFERENCES shard (digest) ON DELETE RESTRICT
);

CREATE INDEX _entry_shard_holders ON entry_shard (shard);

CREATE TABLE "column" (
	entry TEXT NOT NULL, 
	place INTEGER NOT NULL, 
	section TEXT NOT NULL, 
	field TEXT NOT NULL, 
	dtype TEXT NOT NULL, 
	shape TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (entry, place), 
	CONSTRAINT _column_entry FOREIGN KEY(entry) REFERENCES entry ("key") ON DELETE CASCADE
);

CREATE TABLE _total (
	id INTEGER NOT NULL, 
	entries INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (id)
);

CREATE TABLE _hour (
	hour DATETIME NOT NULL, 
	namespace TEXT NOT NULL, 
	hits INTEGER NOT NULL, 
	misses INTEGER NOT NULL, 
	builds INTEGER NOT NULL, 
	waits INTEGER NOT NULL, 
	evictions INTEGER NOT NULL, 
	hit_seconds FLOAT NOT NULL, 
	wait_seconds FLOAT NOT NULL, 
	build_seconds FLOAT NOT NULL, 
	saved_seconds FLOAT NOT NULL, 
	evicted_bytes BIGINT NOT NULL, 
	PRIMARY KEY (hour, namespace)
);

CREATE TABLE _size (
	hour DATETIME NOT NULL, 
	bytes BIGINT NOT NULL, 
	limit_bytes BIGINT, 
	PRIMARY KEY (hour)
);

CREATE TABLE _taken (
	journal TEXT NOT NULL, 
	at DATETIME NOT NULL, 
	PRIMARY KEY (journal)
);

CREATE TABLE "event" (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	kind TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	seconds FLOAT NOT NULL, 
	bytes BIGINT NOT NULL, 
	namespace TEXT, 
	build_seconds FLOAT, 
	PRIMARY KEY (id)
);

CREATE INDEX _event_key ON event ("key");

CREATE INDEX _event_at ON event (at);

CREATE TABLE "entry" (
	"key" TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	identity TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	inputs TEXT NOT NULL, 
	version TEXT NOT NULL, 
	format INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	build_seconds FLOAT NOT NULL, 
	created_at DATETIME NOT NULL, 
	last_used_at DATETIME, 
	uses INTEGER NOT NULL, 
	pinned TEXT, 
	host TEXT NOT NULL, 
	tools TEXT NOT NULL, 
	manifest_bytes INTEGER NOT NULL, 
	alone_bytes BIGINT NOT NULL, 
	touched_at DATETIME NOT NULL, 
	warmth FLOAT NOT NULL, 
	worth FLOAT NOT NULL, 
	PRIMARY KEY ("key")
);

CREATE INDEX _entry_namespace ON entry (namespace, created_at);

CREATE INDEX _entry_created ON entry (created_at);

CREATE INDEX _entry_touched ON entry (touched_at) WHERE pinned IS NULL;

CREATE INDEX _entry_worth ON entry (worth, touched_at) WHERE pinned IS NULL;

CREATE INDEX _entry_frees ON entry (worth, touched_at) WHERE pinned IS NULL AND alone_bytes > manifest_bytes;
