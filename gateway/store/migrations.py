"""The tables of the file, in the steps in which they came. A step that was released is never changed."""

from __future__ import annotations

FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE lines (
  id INTEGER PRIMARY KEY, counter TEXT NOT NULL, line TEXT NOT NULL,
  till INTEGER NOT NULL CHECK (till IN (0, 1)), UNIQUE (till, counter, line)) STRICT;
-- what is known of a line's rhythm, and the span it is being watched in
CREATE TABLE pulse (
  line_id INTEGER PRIMARY KEY REFERENCES lines, period_ms INTEGER NOT NULL, longest_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL, newest_ms INTEGER NOT NULL, quality INTEGER NOT NULL,
  watch_start_ms INTEGER, watch_end_ms INTEGER) STRICT;
CREATE TABLE readings (
  long INTEGER NOT NULL CHECK (long IN (0, 1)), start_ms INTEGER NOT NULL, line_id INTEGER NOT NULL,
  end_ms INTEGER NOT NULL, side INTEGER NOT NULL CHECK (side BETWEEN 1 AND 8), key INTEGER NOT NULL,
  ins INTEGER NOT NULL CHECK (ins BETWEEN 0 AND 1000000000),
  outs INTEGER NOT NULL CHECK (outs BETWEEN 0 AND 1000000000),
  passes INTEGER NOT NULL CHECK (passes BETWEEN 0 AND 1000000000),
  sales INTEGER NOT NULL CHECK (sales BETWEEN 0 AND 1000000000),
  returns INTEGER NOT NULL CHECK (returns BETWEEN 0 AND 1000000000),
  amount INTEGER NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
  total INTEGER, quality INTEGER NOT NULL CHECK (quality BETWEEN 0 AND 4),
  PRIMARY KEY (long, start_ms, line_id, end_ms, side, key),
  CHECK (end_ms - start_ms BETWEEN 1 AND 2678400000)) STRICT, WITHOUT ROWID;
-- device ids of events that carry no time: their identity cannot be in the reading's key
CREATE TABLE timeless (line_id INTEGER NOT NULL, key INTEGER NOT NULL, start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  PRIMARY KEY (line_id, key)) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (link TEXT NOT NULL, mid INTEGER NOT NULL, session INTEGER NOT NULL,
  digest BLOB NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (link, mid)) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (link TEXT PRIMARY KEY, session INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE heads (
  line_id INTEGER NOT NULL, side INTEGER NOT NULL, epoch TEXT NOT NULL, first_ms INTEGER NOT NULL,
  first_total INTEGER NOT NULL, at_ms INTEGER NOT NULL, total INTEGER NOT NULL, boot TEXT NOT NULL,
  mono_ms INTEGER NOT NULL, held_ms INTEGER, held_until_ms INTEGER, held_total INTEGER,
  not_before_ms INTEGER NOT NULL, PRIMARY KEY (line_id, side)) STRICT, WITHOUT ROWID;
-- refused jumps, so that a late total inside one can judge both halves anew
CREATE TABLE jumps (
  line_id INTEGER NOT NULL, side INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  from_total INTEGER NOT NULL, to_total INTEGER NOT NULL, persons INTEGER NOT NULL,
  PRIMARY KEY (line_id, side, start_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE resets (line_id INTEGER NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (line_id, kind)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
  line_id INTEGER NOT NULL, account TEXT NOT NULL, ins INTEGER NOT NULL, outs INTEGER NOT NULL,
  passes INTEGER NOT NULL, sales INTEGER NOT NULL, returns INTEGER NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (line_id, account)) STRICT, WITHOUT ROWID;
CREATE TABLE held (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, mono_ms INTEGER NOT NULL, link TEXT NOT NULL,
  parcel TEXT NOT NULL) STRICT;
CREATE TABLE poison (digest TEXT PRIMARY KEY, link TEXT NOT NULL, at_ms INTEGER NOT NULL, why TEXT NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE coverage (line_id INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  PRIMARY KEY (line_id, start_ms), CHECK (end_ms >= start_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE grids (size_s INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER, base INTEGER NOT NULL,
  PRIMARY KEY (size_s, from_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE closed (line_id INTEGER NOT NULL, size_s INTEGER NOT NULL, through_ms INTEGER NOT NULL,
  PRIMARY KEY (line_id, size_s)) STRICT, WITHOUT ROWID;
CREATE TABLE zone_closed (zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, through_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, size_s)) STRICT, WITHOUT ROWID;
CREATE TABLE dirty (size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL, line_id INTEGER NOT NULL,
  first_mono_ms INTEGER NOT NULL, since_mono_ms INTEGER NOT NULL,
  PRIMARY KEY (size_s, start_ms, line_id)) STRICT, WITHOUT ROWID;
-- zone days whose occupancy must be restated once they are over
CREATE TABLE drift (zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, day_ms INTEGER NOT NULL,
  since_mono_ms INTEGER NOT NULL, PRIMARY KEY (zone_id, size_s, day_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE line_windows (
  size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL, line_id INTEGER NOT NULL, revision INTEGER NOT NULL,
  ins INTEGER NOT NULL, outs INTEGER NOT NULL, passes INTEGER NOT NULL, sales INTEGER NOT NULL,
  returns INTEGER NOT NULL, amount INTEGER NOT NULL, odd_before INTEGER NOT NULL, watched_ms INTEGER,
  est_ins INTEGER NOT NULL, est_outs INTEGER NOT NULL, est_passes INTEGER NOT NULL, quality INTEGER NOT NULL,
  PRIMARY KEY (line_id, size_s, start_ms, revision)) STRICT, WITHOUT ROWID;
CREATE TABLE zones (id INTEGER PRIMARY KEY, zone TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
  parent TEXT, was TEXT NOT NULL, active INTEGER NOT NULL) STRICT;
CREATE TABLE zone_versions (zone_id INTEGER NOT NULL, version INTEGER NOT NULL, from_ms INTEGER NOT NULL,
  members TEXT NOT NULL, PRIMARY KEY (zone_id, version)) STRICT, WITHOUT ROWID;
CREATE TABLE zone_aggregates (
  zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL, revision INTEGER NOT NULL,
  zone_version INTEGER NOT NULL, ins INTEGER NOT NULL, outs INTEGER NOT NULL, passersby INTEGER NOT NULL,
  sales INTEGER NOT NULL, returns INTEGER NOT NULL, amount INTEGER NOT NULL, watched_ms INTEGER,
  base_ms INTEGER, estimated_ins INTEGER NOT NULL, estimated_outs INTEGER NOT NULL,
  occupancy INTEGER NOT NULL,
  occupancy_raw INTEGER NOT NULL, flags INTEGER NOT NULL, quality INTEGER NOT NULL, lines TEXT NOT NULL,
  reason TEXT NOT NULL, closed_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, size_s, start_ms, revision)) STRICT, WITHOUT ROWID;
CREATE TABLE upstreams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE subscriptions (
  upstream_id INTEGER NOT NULL, zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, from_ms INTEGER NOT NULL,
  to_ms INTEGER, PRIMARY KEY (upstream_id, zone_id, size_s, from_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
  upstream_id INTEGER NOT NULL, zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL,
  revision INTEGER NOT NULL, state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'rejected')),
  delivered_revision INTEGER, attempts INTEGER NOT NULL DEFAULT 0, closed_ms INTEGER NOT NULL, reason TEXT,
  settled_ms INTEGER, PRIMARY KEY (upstream_id, zone_id, size_s, start_ms)) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_pending ON outbox (upstream_id, start_ms) WHERE state = 'pending';
CREATE INDEX outbox_rejected ON outbox (upstream_id) WHERE state = 'rejected';
"""

# `round`: of the link's connection, see links; `basis` and `since_ms`: a line that counts by something else
# now does not count again what it counted before
SECOND = """
ALTER TABLE upstreams ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries RENAME COLUMN sequence TO round;
ALTER TABLE lines ADD COLUMN basis TEXT;
ALTER TABLE pulse ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
-- device lines that counters without a choice of their own have taken for theirs
CREATE TABLE adopted (counter TEXT NOT NULL, origin TEXT NOT NULL, line TEXT NOT NULL,
  PRIMARY KEY (counter)) STRICT, WITHOUT ROWID;
-- what an event says of its place, as it was when the window was closed
CREATE TABLE plans (from_ms INTEGER PRIMARY KEY, plan TEXT NOT NULL) STRICT;
"""

# opening hours in force from a window's start on; a window is closed, and restated, by those of its start
OPENING = """
CREATE TABLE zone_hours (zone_id INTEGER NOT NULL, from_ms INTEGER NOT NULL, hours TEXT NOT NULL,
  PRIMARY KEY (zone_id, from_ms)) STRICT, WITHOUT ROWID;
"""

# what people entered in place of what was counted; `masked_…`: of what it hides, the part whose readings may
# be pruned; `sides`: which of ins, outs and passes a line has ever given; `why`: for what a revision is made
CORRECTIONS = """
CREATE TABLE corrections (
  id TEXT PRIMARY KEY, line_id INTEGER NOT NULL REFERENCES lines, start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL, side INTEGER NOT NULL CHECK (side BETWEEN 1 AND 7),
  ins INTEGER NOT NULL CHECK (ins BETWEEN 0 AND 1000000000),
  outs INTEGER NOT NULL CHECK (outs BETWEEN 0 AND 1000000000),
  passes INTEGER NOT NULL CHECK (passes BETWEEN 0 AND 1000000000),
  reason TEXT NOT NULL, by TEXT NOT NULL, made_ms INTEGER NOT NULL, undone_ms INTEGER,
  undone_by TEXT NOT NULL DEFAULT '', undone_reason TEXT NOT NULL DEFAULT '',
  masked_ins INTEGER NOT NULL DEFAULT 0, masked_outs INTEGER NOT NULL DEFAULT 0,
  masked_passes INTEGER NOT NULL DEFAULT 0, CHECK (end_ms - start_ms BETWEEN 1 AND 2678400000)) STRICT;
CREATE UNIQUE INDEX corrections_in_force ON corrections (line_id, start_ms) WHERE undone_ms IS NULL;
ALTER TABLE dirty ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE pulse ADD COLUMN sides INTEGER NOT NULL DEFAULT 0;
UPDATE pulse SET sides=s.sides FROM (SELECT line_id, max(side&1)|max(side&2)|max(side&4) AS sides FROM
  (SELECT line_id, side FROM readings UNION ALL SELECT line_id, side FROM heads) GROUP BY line_id) AS s
  WHERE s.line_id=pulse.line_id;
"""

# factors that are applied on read, in millionths; the calibrated sums of a zone's window in thousandths of
# persons; `recalibrate`: closed windows that a factor reaches back to and that are still to be looked at
CALIBRATIONS = """
CREATE TABLE calibrations (
  version INTEGER PRIMARY KEY, line_id INTEGER NOT NULL REFERENCES lines,
  side INTEGER NOT NULL CHECK (side IN (1, 2, 4)),
  factor_ppm INTEGER NOT NULL CHECK (factor_ppm BETWEEN 800000 AND 1250000), error_ppm INTEGER NOT NULL,
  from_ms INTEGER NOT NULL, to_ms INTEGER, source TEXT NOT NULL, by TEXT NOT NULL, made_ms INTEGER NOT NULL,
  ended_ms INTEGER, ended_by TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE recalibrate (zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, next_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, size_s)) STRICT, WITHOUT ROWID;
ALTER TABLE zone_aggregates ADD COLUMN calibration INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_ins INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_outs INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_passersby INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_ins_ppm INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_passersby_ppm INTEGER;
"""

# what people enter; `kind` first, so that taps of a day lie together
ENTRIES = """
CREATE TABLE entries (
  kind TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL, content TEXT NOT NULL, by TEXT NOT NULL, entered_ms INTEGER NOT NULL,
  withdrawn_ms INTEGER, PRIMARY KEY (kind, id), CHECK (end_ms > start_ms)) STRICT, WITHOUT ROWID;
CREATE INDEX entries_time ON entries (kind, subject, start_ms);
"""

# staff among the ins, and what closed days teach a zone: `day_ms` is the start of the day it was learnt for
LEARNT = """
ALTER TABLE zone_aggregates ADD COLUMN staff INTEGER NOT NULL DEFAULT 0;
CREATE TABLE learnt (zone_id INTEGER NOT NULL, from_ms INTEGER NOT NULL, day_ms INTEGER NOT NULL,
  content TEXT NOT NULL, PRIMARY KEY (zone_id, from_ms)) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('written', '0');
"""

# `inside`: occupancy in thousandths of persons; what a business day that is over says of a zone's doors: ins
# and outs in thousandths, calibrated where they are, and the persons left inside when the day was reset
OCCUPANCY = """
ALTER TABLE zone_aggregates ADD COLUMN inside INTEGER;
CREATE TABLE zone_days (
  zone_id INTEGER NOT NULL, day_ms INTEGER NOT NULL, revision INTEGER NOT NULL, ins INTEGER NOT NULL,
  outs INTEGER NOT NULL, residual INTEGER NOT NULL, watched_ms INTEGER, base_ms INTEGER NOT NULL,
  imbalance INTEGER NOT NULL CHECK (imbalance IN (0, 1)), made_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, day_ms, revision)) STRICT, WITHOUT ROWID;
"""

# What is learned of each line: a cell for each slot of the day, filed by slot, so that one slot of all lines
# lies on neighbouring pages; and what was told of it. An alarm's revisions are never changed, so that an
# event once sent is not either; ids are never used again.
QUALITY = """
CREATE TABLE cells (slot INTEGER NOT NULL, line_id INTEGER NOT NULL, state BLOB NOT NULL,
  PRIMARY KEY (slot, line_id)) STRICT, WITHOUT ROWID;
CREATE TABLE detectors (
  line_id INTEGER PRIMARY KEY REFERENCES lines, size_s INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
CREATE TABLE day_levels (day_ms INTEGER NOT NULL, line_id INTEGER NOT NULL, level REAL,
  PRIMARY KEY (day_ms, line_id)) STRICT, WITHOUT ROWID;
CREATE TABLE alarms (
  id INTEGER PRIMARY KEY AUTOINCREMENT, line_id INTEGER NOT NULL REFERENCES lines, kind TEXT NOT NULL,
  since_ms INTEGER NOT NULL, until_ms INTEGER, revision INTEGER NOT NULL) STRICT;
CREATE INDEX alarms_open ON alarms (line_id) WHERE until_ms IS NULL;
CREATE TABLE alarm_revisions (
  alarm_id INTEGER NOT NULL REFERENCES alarms, revision INTEGER NOT NULL, severity TEXT NOT NULL,
  until_ms INTEGER, remedy TEXT NOT NULL, evidence TEXT NOT NULL, zones TEXT NOT NULL,
  written_ms INTEGER NOT NULL, PRIMARY KEY (alarm_id, revision)) STRICT, WITHOUT ROWID;
-- from `since_ms` on a line counts at another level, as long as nobody has dismissed it
CREATE TABLE breaks (
  line_id INTEGER NOT NULL REFERENCES lines, since_ms INTEGER NOT NULL, factor REAL NOT NULL,
  found_ms INTEGER NOT NULL, dismissed_ms INTEGER, PRIMARY KEY (line_id, since_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE alarm_outbox (
  upstream_id INTEGER NOT NULL, alarm_id INTEGER NOT NULL, revision INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'rejected')), delivered_revision INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0, reason TEXT, settled_ms INTEGER,
  PRIMARY KEY (upstream_id, alarm_id)) STRICT, WITHOUT ROWID;
CREATE INDEX alarm_outbox_pending ON alarm_outbox (upstream_id, alarm_id) WHERE state = 'pending';
-- which alarms an upstream is sent: 0 none, 1 those of lines of its zones, 2 all
ALTER TABLE upstreams ADD COLUMN alarms INTEGER NOT NULL DEFAULT 0;
"""

# the latest moment at which anything was closed, learnt or configured: what comes after it is told as later;
# a zone's kind is dated like its lines, because events tell it
TOLD = """
INSERT INTO meta SELECT 'told_ms', CAST(coalesce(max(at_ms), 0) AS TEXT) FROM (
  SELECT max(closed_ms) AS at_ms FROM zone_aggregates UNION ALL SELECT max(from_ms) FROM learnt UNION ALL
  SELECT max(from_ms) FROM plans UNION ALL SELECT max(written_ms) FROM alarm_revisions);
ALTER TABLE zone_versions ADD COLUMN kind TEXT NOT NULL DEFAULT '';
UPDATE zone_versions SET kind=(SELECT kind FROM zones WHERE id=zone_id) WHERE members<>'null';
"""

# somebody has looked: what the line counted while the alarm was raised was right
BELIEVED = """
ALTER TABLE alarms ADD COLUMN believed_ms INTEGER;
"""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    ("first", FIRST),
    ("second", SECOND),
    ("opening", OPENING),
    ("corrections", CORRECTIONS),
    ("calibrations", CALIBRATIONS),
    ("entries", ENTRIES),
    ("learnt", LEARNT),
    ("occupancy", OCCUPANCY),
    ("quality", QUALITY),
    ("told", TOLD),
    ("believed", BELIEVED),
)
