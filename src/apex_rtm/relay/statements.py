"""Everything that the relay says to the database. Not run on Oracle by its authors.

Run on PostgreSQL, with functions of the same names (tests/relay/postgres.py); only FETCH_DUE differs there, by `limit`.

The row format, the order of the steps and what each column means are documented at the head of db/08_rtm_outbox.sql.
Times leave the database as differences of two of its own moments, so no session time zone and no other clock matters.
A row that was never refused is due whatever its time says, and so is one whose time is further away than any pause:
either was written before the clock of the database was set back.
"""

from __future__ import annotations

from typing import Final

# Asked between batches, without a lock and without a transaction: an idle relay writes nothing.
HAS_DUE: Final = """
select count(*)
  from dual
 where exists (
         select null
           from rtm_outbox
          where status = 'PENDING'
            and (attempts = 0
                 or next_attempt_at <= current_timestamp
                 or next_attempt_at > current_timestamp + interval '64' second)
       )"""

TAKE_TURN: Final = """
select failures, sys_extract_utc(resume_at), sys_extract_utc(current_timestamp)
  from rtm_outbox_drain
 where id = 1
   for update skip locked"""

# SKIP LOCKED locks row by row as they are fetched. FETCH FIRST cannot stand beside FOR UPDATE (ORA-02014), and ROWNUM
# counts before locked rows are skipped; so the fetch size is the bound.
FETCH_DUE: Final = """
select id, message_id, channel, event_name,
       case when length(payload) <= :most_characters then payload end,
       meta, attempts, sys_extract_utc(created_at), sys_extract_utc(current_timestamp), length(payload)
  from rtm_outbox
 where status = 'PENDING'
   and (attempts = 0
        or next_attempt_at <= current_timestamp
        or next_attempt_at > current_timestamp + interval '64' second)
 order by id
   for update skip locked"""

MARK_SENT: Final = """
update rtm_outbox
   set status = 'SENT',
       publication_epoch = :epoch,
       publication_offset = :place,
       sent_at = current_timestamp,
       sent_by = :sender,
       error = null
 where id = :row_id
   and status = 'PENDING'"""

MARK_REFUSED: Final = """
update rtm_outbox
   set status = :status,
       attempts = :attempts,
       next_attempt_at = current_timestamp + numtodsinterval(:wait_s, 'SECOND'),
       error = :error
 where id = :row_id
   and status = 'PENDING'"""

NOTE_SUCCESS: Final = """
update rtm_outbox_drain
   set failures = 0, last_ok_at = current_timestamp, drained_by = :sender
 where id = 1"""

NOTE_FAILURE: Final = """
update rtm_outbox_drain
   set failures = :failures,
       last_error = :error,
       last_error_at = current_timestamp,
       drained_by = :sender,
       resume_at = current_timestamp + numtodsinterval(:wait_s, 'SECOND')
 where id = 1"""

# RTM_SETTINGS shows what differs from the defaults; without a row nobody rings.
IS_WAKE_OFFERED: Final = """
select count(*)
  from rtm_settings
 where name = 'wake'
   and value = 'QUEUE'"""

WAKE_QUEUE: Final = "RTM_WAKE_QUEUE"
