"""What the doctor asks the database. Reads only, but for the two blocks at the end. Not run on Oracle.

Views and columns as in Oracle's Database Reference: SESSION_PRIVS, ALL_TAB_PRIVS, USER_HOST_ACES (12.1 and later),
USER_MLE_MODULES (23ai and later), USER_SCHEDULER_JOBS, USER_SCHEDULER_JOB_RUN_DETAILS, PRODUCT_COMPONENT_VERSION; the
parameters of USERENV as in the SQL Language Reference, SYS_CONTEXT.
"""

from __future__ import annotations

import re
from typing import Final

RELEASE: Final = "select product, version from product_component_version where rownum = 1"
WHO: Final = """
select sys_context('USERENV', 'SESSION_USER') as session_user,
       sys_context('USERENV', 'CURRENT_SCHEMA') as current_schema
  from dual"""
# Null outside of Autonomous Database; releases that do not know the parameter raise ORA-02003.
CLOUD: Final = "select sys_context('USERENV', 'CLOUD_SERVICE') as cloud_service from dual"
# Seconds since 1970, whole ones.
CLOCK: Final = """
select (cast(sys_extract_utc(systimestamp) as date) - to_date('1970-01-01', 'YYYY-MM-DD')) * 86400 as now_s
  from dual"""
PRIVILEGES: Final = """
select privilege
  from session_privs
 where privilege in ('CREATE TABLE', 'CREATE VIEW', 'CREATE SEQUENCE', 'CREATE PROCEDURE', 'CREATE JOB')"""
# A grant to a role does not count: packages do not see it.
EXECUTABLE: Final = """
select distinct table_name
  from all_tab_privs
 where privilege = 'EXECUTE'
   and table_name in ('UTL_HTTP', 'DBMS_LOB', 'DBMS_SCHEDULER')
   and grantee in (sys_context('USERENV', 'CURRENT_SCHEMA'), 'PUBLIC')"""
SETTINGS: Final = "select name, value from rtm_settings"
ACES: Final = "select host, lower_port, upper_port, privilege, status from user_host_aces"
MLE_MODULES: Final = "select module_name, language_name from user_mle_modules"
MLE_OBJECTS: Final = """
select object_name, status
  from all_objects
 where owner = sys_context('USERENV', 'CURRENT_SCHEMA')
   and object_name in ('RTM_MLE_POST', 'WEBSOCKET_SENDER_MODULE')"""
# Readable by few schemas; without it the question stays open.
PARAMETERS: Final = "select name, value from v$parameter where name in ('job_queue_processes', 'mle_prog_languages')"
JOBS: Final = """
select job_name, enabled, state, failure_count,
       case when last_start_date is null or last_start_date < systimestamp - interval '5' minute then 1 else 0 end
         as is_late
  from user_scheduler_jobs
 where job_name in ('RTM_DRAIN_JOB', 'RTM_PURGE_JOB')"""
LAST_FAILURE: Final = """
select additional_info
  from user_scheduler_job_run_details
 where job_name in ('RTM_DRAIN_JOB', 'RTM_PURGE_JOB')
   and status = 'FAILED'
 order by log_date desc"""
OUTBOX: Final = """
select pending, parked, failures, last_error, drained_by,
       (cast(sys_extract_utc(systimestamp) as date) - cast(sys_extract_utc(oldest_pending_at) as date)) * 86400
         as oldest_s
  from rtm_outbox_status"""
PARKED: Final = "select id, channel, error from rtm_outbox where status = 'PARKED' order by id"

ISSUE: Final = """
begin
  dbms_output.put_line(
    rtm_token.issue(
      p_user_name => 'APEX-RTM-DOCTOR', p_session_id => null, p_channel => 'apex-rtm:doctor', p_lifetime_s => 120
    )
  );
end;"""
BROADCAST: Final = """
begin
  websocket_api.broadcast_item(
    p_channel    => 'apex-rtm:doctor',
    p_event_name => 'doctor',
    p_payload    => '{"nonce": "0000000000000000"}',
    p_delivery   => 'NOW',
    p_source     => 'DOCTOR'
  );
end;"""
# The same by way of the outbox, for a database that calls nobody.
QUEUE: Final = """
begin
  websocket_api.broadcast_item(
    p_channel    => 'apex-rtm:doctor',
    p_event_name => 'doctor',
    p_payload    => '{"nonce": "0000000000000000"}',
    p_delivery   => 'ON_COMMIT',
    p_source     => 'DOCTOR'
  );
  commit;
end;"""
_PLACE: Final = "0000000000000000"


def with_nonce(block: str, nonce: str) -> str:
    """Put a nonce of 16 hexadecimal digits in its place; nothing else can be put there."""
    if not re.fullmatch(r"[0-9a-f]{16}", nonce):
        raise ValueError("a nonce has 16 hexadecimal digits")
    return block.replace(_PLACE, nonce)
