-- A small installation that has one of everything the checks look at. The tests break it in one place at a time.
set define on verify off
whenever sqlerror exit failure rollback

define note_mle = '03_note_module.sql'

@@01_note.sql
@@02_note_api.sql
@@&note_mle

declare
  l_count pls_integer;
begin
  select count(*) into l_count from user_objects o where o.status <> 'VALID';
  dbms_output.put_line('invalid: ' || l_count);
end;
/
