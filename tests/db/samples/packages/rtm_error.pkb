create or replace package body rtm_error
as
  procedure fail(p_code in pls_integer, p_text in varchar2 default null) is
  begin
    raise_application_error(p_code, substr(p_text, 1, 2000));
  end fail;
end rtm_error;
/
