create or replace package body rtm_secret
as
  function stored_value(p_name in varchar2) return varchar2 is
    l_value rtm_config.value%type;
  begin
    select c.value
      into l_value
      from rtm_config c
     where c.name = p_name
       and c.is_secret = 'Y';
    return l_value;
  exception
    when no_data_found then
      return null;
  end stored_value;
end rtm_secret;
/
