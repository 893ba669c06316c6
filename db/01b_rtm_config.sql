prompt RTM_CONFIG: settings, and the only ways to them
-- Run again, it keeps the table and what is stored in it.

declare
  e_exists exception;
  pragma exception_init(e_exists, -955);
begin
  execute immediate q'[
    create table rtm_config (
      name       varchar2(30 char) not null,
      value      varchar2(4000) not null,
      is_secret  varchar2(1 char) default 'N' not null,
      updated_at timestamp with time zone default systimestamp not null,
      updated_by varchar2(255 char),
      constraint rtm_config_pk primary key (name),
      constraint rtm_config_is_secret_ck check (is_secret in ('Y', 'N'))
    )]';
exception
  when e_exists then
    dbms_output.put_line('RTM_CONFIG is there already and is kept');
end;
/

comment on table rtm_config is 'Settings that differ from their defaults. Holds secrets: grant nothing on it, and mind it when you export the schema';
comment on column rtm_config.name is 'A name of RTM_CONFIG_API';
comment on column rtm_config.is_secret is 'Y: shown by nothing and read by RTM_SECRET only';

-- What may be shown of it.
create or replace view rtm_settings as
select c.name,
       case when c.is_secret = 'Y' then '(set)' else c.value end as value,
       c.updated_at,
       c.updated_by
  from rtm_config c;

comment on table rtm_settings is 'RTM_CONFIG without its secrets';

@@packages/rtm_config_api.pks
show errors
@@packages/rtm_config_api.pkb
show errors
@@packages/rtm_secret.pks
show errors
@@packages/rtm_secret.pkb
show errors
