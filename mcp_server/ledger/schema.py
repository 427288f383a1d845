"""The ledger's schema, as a list of small steps; an old step is never edited, a new one is appended.

A ledger's `user_version` is the number of steps it has seen. Each step runs in the transaction that counts it.
"""

from __future__ import annotations

import sqlite3

# Campaigns, experiments, runs, learnings, exams, programs and the word index.
FIRST = """
CREATE TABLE programs (
    digest TEXT PRIMARY KEY, text TEXT NOT NULL, first_seen TEXT NOT NULL
) STRICT;
CREATE TABLE campaigns (
    tag TEXT PRIMARY KEY,
    pinned TEXT NOT NULL,                -- the commit the campaign began from; frozen files are taken from it
    began_at TEXT NOT NULL,
    seed INTEGER NOT NULL,               -- first seed of every experiment
    calibrate INTEGER NOT NULL,          -- extra baseline runs asked for
    corpus TEXT, fingerprint TEXT,       -- folder and fingerprint of the prepared corpus
    secret TEXT NOT NULL,                -- draws the test split
    program TEXT NOT NULL REFERENCES programs(digest),
    ready INTEGER NOT NULL DEFAULT 0     -- 0: the intent to begin; 1: the branch exists
) STRICT;
CREATE TABLE trees (
    tree TEXT PRIMARY KEY, campaign TEXT NOT NULL REFERENCES campaigns(tag), joined_at TEXT NOT NULL
) STRICT;
CREATE TABLE experiments (
    campaign TEXT NOT NULL REFERENCES campaigns(tag),
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,                  -- baseline | attempt | retest
    description TEXT NOT NULL,
    hypothesis TEXT NOT NULL,
    expected_delta REAL,
    snapshot TEXT NOT NULL,              -- commit in the vault
    base INTEGER,                        -- incumbent's number when the snapshot was taken
    fingerprint TEXT NOT NULL,
    edit TEXT NOT NULL,                  -- fingerprint of the change itself, whatever the base
    nodes INTEGER NOT NULL,              -- syntax-tree size of the editable files
    knobs TEXT NOT NULL,                 -- JSON [[name, before, after], ...]
    protocol TEXT NOT NULL,              -- JSON [what was touched of seeding, data order, budget]
    theme TEXT NOT NULL,
    program TEXT NOT NULL REFERENCES programs(digest),
    style TEXT,
    opened_at TEXT NOT NULL,
    vaulted INTEGER NOT NULL DEFAULT 0,  -- 0: the intent; 1: the vault ref exists
    decision TEXT,                       -- keep | revert | overtaken
    label TEXT,                          -- baseline | provisional | confirmed | simplification
    verdict TEXT,                        -- JSON of the numbers behind the decision
    commit_sha TEXT,                     -- commit on the branch, if kept
    decided_at TEXT,
    settled INTEGER NOT NULL DEFAULT 0,  -- 0: the intent to move git; 1: git has moved
    tree TEXT NOT NULL,                  -- the work tree it came from
    PRIMARY KEY (campaign, number)
) STRICT;
CREATE INDEX experiments_by_fingerprint ON experiments (campaign, fingerprint);
CREATE INDEX experiments_by_edit ON experiments (campaign, edit);
CREATE INDEX experiments_by_decision ON experiments (campaign, decision, settled);
CREATE TABLE runs (
    ticket INTEGER PRIMARY KEY AUTOINCREMENT,   -- place in the queue
    campaign TEXT NOT NULL,
    experiment INTEGER NOT NULL,
    run INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    purpose TEXT NOT NULL,               -- first | repeat | seed | confirm | anchor | retry | exam
    state TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    closed_at TEXT,
    score REAL,
    tainted TEXT NOT NULL DEFAULT '',
    machine TEXT NOT NULL DEFAULT '',
    ask_again_at REAL,                   -- pending: unix time of the next question
    result TEXT,                         -- JSON of the RunResult
    UNIQUE (campaign, experiment, run),
    FOREIGN KEY (campaign, experiment) REFERENCES experiments (campaign, number)
) STRICT;
CREATE INDEX runs_by_state ON runs (state);
CREATE TABLE learnings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign TEXT, experiment INTEGER, text TEXT NOT NULL, tags TEXT NOT NULL,
    source TEXT NOT NULL,                -- agent | person
    at TEXT NOT NULL
) STRICT;
CREATE TABLE exams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign TEXT NOT NULL, baseline INTEGER NOT NULL, incumbent INTEGER NOT NULL,
    seeds TEXT NOT NULL, opened_at TEXT NOT NULL, result TEXT
) STRICT;
CREATE VIRTUAL TABLE words USING fts5 (
    text, kind UNINDEXED, campaign UNINDEXED, key UNINDEXED, tokenize = 'porter unicode61'
);
"""

# The order of decisions, whatever the clock says.
SECOND = """
-- 1, 2, ... in the order in which a campaign decided
ALTER TABLE experiments ADD COLUMN turn INTEGER;
UPDATE experiments SET turn = (
    SELECT count(*) FROM experiments AS other
    WHERE other.campaign = experiments.campaign AND other.decision IS NOT NULL
    AND (other.decided_at, other.number) <= (experiments.decided_at, experiments.number)
) WHERE decision IS NOT NULL;
CREATE INDEX experiments_by_turn ON experiments (campaign, turn);
"""

# Indexes for a lab with a long past: what every verb asks must not read all of it.
THIRD = """
CREATE INDEX learnings_by_experiment ON learnings (campaign, experiment);
CREATE INDEX experiments_unvaulted ON experiments (campaign) WHERE vaulted = 0;
CREATE INDEX experiments_unsettled ON experiments (campaign, turn) WHERE decision IS NOT NULL AND settled = 0;
CREATE INDEX experiments_undecided ON experiments (campaign, number) WHERE decision IS NULL;
CREATE INDEX experiments_kept ON experiments (campaign, turn) WHERE decision = 'keep';
CREATE INDEX experiments_confirmed ON experiments (campaign) WHERE label = 'confirmed';
CREATE INDEX experiments_by_age ON experiments (opened_at);
DROP INDEX experiments_by_fingerprint;
CREATE INDEX experiments_by_fingerprint ON experiments (campaign, fingerprint, number);
DROP INDEX experiments_by_edit;
CREATE INDEX experiments_by_edit ON experiments (campaign, edit, number);
"""

# The baseline is asked for by every verb, and it need not be experiment 1.
FOURTH = """
CREATE INDEX experiments_baseline ON experiments (campaign, number) WHERE kind = 'baseline';
"""

# Which session began an experiment, so that two agents in one work tree can be told apart.
FIFTH = "ALTER TABLE experiments ADD COLUMN session TEXT NOT NULL DEFAULT ''"

# What a person changed of the rules while a campaign ran.
SIXTH = """
CREATE TABLE amendments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign TEXT NOT NULL REFERENCES campaigns(tag), at TEXT NOT NULL,
    before TEXT NOT NULL REFERENCES programs(digest), after TEXT NOT NULL REFERENCES programs(digest),
    changes TEXT NOT NULL,               -- JSON ["key: before -> after", ...]
    experiment INTEGER NOT NULL          -- the last one opened under the rules before
) STRICT;
CREATE INDEX amendments_by_campaign ON amendments (campaign, id);
"""

# Whose a run is, and which snapshots git was told to keep.
SEVENTH = """
-- one row: the random name of this ledger
CREATE TABLE lab (id TEXT NOT NULL) STRICT;
INSERT INTO lab VALUES (lower(hex(randomblob(16))));
-- random; '' for runs of before
ALTER TABLE runs ADD COLUMN run_id TEXT NOT NULL DEFAULT '';
-- whether git was told to keep the snapshot for ever: 0 not yet, 1 it is, -1 it is gone
ALTER TABLE experiments ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX experiments_unheld ON experiments (campaign) WHERE settled = 1 AND held = 0;
"""

# What was measured in a run's own slot of the incumbent, where it can be found without reading every result.
EIGHTH = """
-- whom a run had beside it in its slot, and what that scored: asked for by every verdict, and a result is long
ALTER TABLE runs ADD COLUMN incumbent INTEGER;
ALTER TABLE runs ADD COLUMN incumbent_score REAL;
UPDATE runs SET incumbent = json_extract(result, '$.incumbent'),
    incumbent_score = json_extract(result, '$.incumbent_score')
    WHERE json_extract(result, '$.incumbent_score') IS NOT NULL;
CREATE INDEX runs_beside ON runs (campaign, ticket) WHERE incumbent_score IS NOT NULL;
"""

# Histories of other tools.
NINTH = """
-- attempts that logs of other tools tell of: searched, never an incumbent, never part of the noise
CREATE TABLE imported (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL UNIQUE,         -- of what the row tells, so that a log that has grown is read again
    source TEXT NOT NULL, line INTEGER NOT NULL, metric TEXT NOT NULL, direction TEXT NOT NULL,
    status TEXT NOT NULL,                -- kept | discarded | crashed | unknown, as its author says
    score REAL, gain REAL,               -- over what was kept before it there; positive is better
    commit_sha TEXT NOT NULL, parent TEXT NOT NULL, description TEXT NOT NULL, reasoning TEXT NOT NULL,
    knobs TEXT NOT NULL,                 -- JSON [[name, before, after], ...], as the description says
    at TEXT NOT NULL, imported_at TEXT NOT NULL
) STRICT;
"""

# Who proposed an experiment: client, version, model, tokens and cost, as JSON; '' for experiments of before.
TENTH = "ALTER TABLE experiments ADD COLUMN proposer TEXT NOT NULL DEFAULT ''"

# What of other labs an experiment repeats or puts together.
ELEVENTH = """
-- LAB/n of the attempt elsewhere that it repeats; those whose changes it puts together, apart by spaces
ALTER TABLE experiments ADD COLUMN repeats TEXT NOT NULL DEFAULT '';
ALTER TABLE experiments ADD COLUMN joins TEXT NOT NULL DEFAULT '';
CREATE INDEX experiments_that_repeat ON experiments (campaign, number) WHERE repeats != '';
"""

# What every verb asks, however long the past: sums that go on, and indexes that answer by themselves.
TWELFTH = """
-- what the verdicts up to a turn have proven, so that it need not be added up from the first on
CREATE TABLE records (
    campaign TEXT PRIMARY KEY REFERENCES campaigns(tag),
    turn INTEGER NOT NULL, evidence REAL NOT NULL, proven INTEGER NOT NULL, spent REAL NOT NULL
) STRICT;
-- all that the noise is learnt from, beside the table: a row of it has a result of thousands of bytes
CREATE INDEX runs_measured ON runs (campaign, ticket, experiment, seed, machine, score, incumbent, incumbent_score)
    WHERE state = 'scored' AND tainted = '' AND purpose != 'exam';
CREATE INDEX runs_repeated ON runs (campaign, experiment, ticket, seed, machine, score)
    WHERE state = 'scored' AND tainted = '' AND purpose != 'exam';
CREATE INDEX runs_beside_themselves ON runs (campaign, experiment, seed, machine, score, incumbent_score)
    WHERE incumbent = experiment AND incumbent_score IS NOT NULL;
CREATE INDEX runs_again ON runs (campaign, experiment, ticket) WHERE run > 1;
CREATE INDEX runs_by_campaign ON runs (campaign, ticket);
-- what the folder of a closed run takes on the disk
CREATE TABLE folders (ticket INTEGER PRIMARY KEY REFERENCES runs(ticket), bytes INTEGER NOT NULL) STRICT;
CREATE INDEX experiments_conditions ON experiments (campaign, number, program, style);
CREATE INDEX experiments_counted ON experiments (campaign, decision, kind);
"""

# What happened, as events.
THIRTEENTH = """
-- what happened, each once: the name says which it is
CREATE TABLE events (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, campaign TEXT NOT NULL,
    at TEXT NOT NULL, line TEXT NOT NULL -- JSON (docs/reference/events.schema.json)
) STRICT;
CREATE INDEX events_by_kind ON events (kind, number);
-- up to which turn decisions have their events; a past of before this table is no news
ALTER TABLE campaigns ADD COLUMN heard INTEGER NOT NULL DEFAULT 0;
UPDATE campaigns SET heard = coalesce((SELECT max(turn) FROM experiments WHERE campaign = tag), 0);
"""

# Evidence per example, beside the results: there may be thousands of them, and most verbs ask for none.
FOURTEENTH = """
-- what each example contributed to a run's score, and to its incumbent's in the same slot: packed JSON, or empty
CREATE TABLE units (ticket INTEGER PRIMARY KEY REFERENCES runs(ticket), own BLOB NOT NULL, beside BLOB NOT NULL) STRICT;
"""

# A person's hand on a campaign, and the queue of ideas.
FIFTEENTH = """
-- what a person asks for while a campaign runs: pause | veto | note
CREATE TABLE orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign TEXT NOT NULL REFERENCES campaigns(tag), at TEXT NOT NULL, verb TEXT NOT NULL, text TEXT NOT NULL,
    experiment INTEGER,                  -- of a veto: which one; null is whichever is kept next
    until TEXT,                          -- of a pause that ends by itself
    done_at TEXT, done TEXT NOT NULL DEFAULT '' -- when it was over, and how
) STRICT;
CREATE INDEX orders_open ON orders (campaign, verb) WHERE done_at IS NULL;
CREATE INDEX orders_unread ON orders (verb) WHERE done_at IS NULL;
CREATE TABLE ideas (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign TEXT NOT NULL REFERENCES campaigns(tag), text TEXT NOT NULL, priority INTEGER NOT NULL,
    state TEXT NOT NULL,                 -- pinned | open | parked | tried | dropped
    source TEXT NOT NULL,                -- person | agent
    at TEXT NOT NULL, experiment INTEGER
) STRICT;
CREATE INDEX ideas_by_state ON ideas (campaign, state);
"""

# What research costs, as the user's command reads it.
SIXTEENTH = """
-- what the user's own command said was spent, each time that it said something else
CREATE TABLE spending (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign TEXT NOT NULL REFERENCES campaigns(tag), at TEXT NOT NULL,
    asked_at TEXT NOT NULL,              -- when it said so last
    cost_usd REAL, tokens INTEGER,
    counter INTEGER NOT NULL,            -- whether it counts from anywhere, and not the campaign alone
    problem TEXT NOT NULL DEFAULT ''     -- why it said nothing
) STRICT;
CREATE INDEX spending_by_campaign ON spending (campaign, id);
"""

STEPS = (
    *(FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEVENTH, EIGHTH, NINTH, TENTH, ELEVENTH, TWELFTH),
    *(THIRTEENTH, FOURTEENTH, FIFTEENTH, SIXTEENTH),
)


def take(connection: sqlite3.Connection, step: str) -> None:
    """Bring a ledger one step on."""
    for statement in step.split(";\n"):
        if statement.strip():
            connection.execute(statement)
