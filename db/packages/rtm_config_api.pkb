create or replace package body rtm_config_api
as
  c_value_max_bytes constant pls_integer := 4000;

  function is_header_safe(p_text in varchar2) return boolean is
    l_code pls_integer;
  begin
    if lengthb(p_text) <> length(p_text) then
      -- Before ascii(), whose result for a character of four bytes (an emoji) is too large for a PLS_INTEGER: ORA-01426.
      return false;
    end if;
    -- Not a regular expression: what a range such as [!-~] holds depends on NLS_SORT.
    for i in 1 .. nvl(length(p_text), 0) loop
      l_code := ascii(substr(p_text, i, 1));
      if l_code < 33 or l_code > 126 then
        return false;
      end if;
    end loop;
    return p_text is not null;
  end is_header_safe;

  function default_of(p_name in varchar2) return varchar2 is
  begin
    return case p_name
      when c_allow_http then c_no
      when c_transport then c_utl_http
      -- A page waits for this when it publishes with NOW; a healthy server answers in milliseconds.
      when c_timeout_s then '5'
      when c_token_lifetime_s then '3600'
      when c_delivery then c_on_commit
      when c_drain_by then c_job
      when c_drain_poll_s then '1'
      when c_batch_size then '100'
      when c_max_attempts then '5'
      when c_sent_keep_h then '24'
      when c_wake then c_wake_none
      when c_log_level then c_log_all
      when c_log_payload then c_no
      when c_log_keep_days then '30'
    end;
  end default_of;

  function is_secret(p_name in varchar2) return boolean is
  begin
    -- The proxy too: UTL_HTTP takes user:password@host for it.
    return p_name in (c_api_key, c_token_secret, c_wallet_password, c_proxy);
  end is_secret;

  function is_known(p_name in varchar2) return boolean is
  begin
    return default_of(p_name => p_name) is not null
      or is_secret(p_name => p_name)
      or p_name in (c_base_url, c_allowed_base_urls, c_wallet_path);
  end is_known;

  procedure require_known(p_name in varchar2) is
  begin
    if p_name is null or not is_known(p_name => p_name) then
      rtm_error.fail(p_code => rtm_error.c_unknown_setting, p_1 => p_name);
    end if;
  end require_known;

  function stored(p_name in varchar2) return varchar2 is
    l_value rtm_config.value%type;
  begin
    select c.value
      into l_value
      from rtm_config c
     where c.name = p_name;
    return l_value;
  exception
    when no_data_found then
      return default_of(p_name => p_name);
  end stored;

  function get_value(p_name in varchar2) return varchar2 is
  begin
    require_known(p_name => p_name);
    if is_secret(p_name => p_name) then
      rtm_error.fail(p_code => rtm_error.c_secret_not_readable, p_1 => p_name);
    end if;
    return stored(p_name => p_name);
  end get_value;

  function get_number(p_name in varchar2) return pls_integer is
  begin
    return to_number(get_value(p_name => p_name));
  end get_number;

  procedure refuse_url(p_url in varchar2, p_reason in varchar2) is
  begin
    -- A URL may carry a password in front of the host: only its first part is repeated, and nothing after an @.
    rtm_error.fail(
      p_code => rtm_error.c_url_not_allowed,
      p_1    => case when instr(p_url, '@') > 0 then '(hidden, it has an @)' else substr(p_url, 1, 200) end,
      p_2    => p_reason
    );
  end refuse_url;

  function clean_url(p_url in varchar2) return varchar2 is
    -- No user, query or fragment can match, so nothing can follow the path that the transport appends. Classes, not
    -- ranges: what [a-z] holds depends on NLS_SORT, and in an alphabet that ends before y it would refuse good hosts.
    c_port     constant varchar2(30) := '(:[[:digit:]]{1,5})?';
    c_form     constant varchar2(200) :=
      '^https?://([[:alnum:].-]+|\[[[:xdigit:]:.]+\])' || c_port || '(/[[:alnum:]._~/-]*)?$';
    c_loopback constant varchar2(200) := '^http://(localhost|127\.0\.0\.1|\[::1\])' || c_port || '(/.*)?$';
    l_url varchar2(4000);
  begin
    if p_url is null or lengthb(p_url) > 2000 then
      refuse_url(p_url => p_url, p_reason => 'it must have 1 to 2000 characters');
    end if;
    l_url := rtrim(p_url, '/');
    if not is_header_safe(p_text => l_url) or not regexp_like(l_url, c_form, 'i') then
      refuse_url(p_url => l_url, p_reason => 'it must be http or https, host, optional port and path, nothing else');
    end if;
    if regexp_like(l_url, '^http:', 'i')
       and not regexp_like(l_url, c_loopback, 'i')
       and stored(p_name => c_allow_http) <> c_yes then
      refuse_url(
        p_url    => l_url,
        p_reason => 'the API key would cross the network in clear: use https, or set allow_http to Y'
      );
    end if;
    return l_url;
  end clean_url;

  function is_allowed(p_url in varchar2) return boolean is
    l_url varchar2(4000) := clean_url(p_url => p_url);
  begin
    -- Never "return a = b or ...": with no stored URL that is null, and "if not null" lets every URL pass.
    if l_url = stored(p_name => c_base_url) then
      return true;
    end if;
    return instr(' ' || stored(p_name => c_allowed_base_urls) || ' ', ' ' || l_url || ' ') > 0;
  end is_allowed;

  procedure refuse(p_name in varchar2, p_reason in varchar2) is
  begin
    rtm_error.fail(p_code => rtm_error.c_invalid_setting, p_1 => p_name, p_2 => p_reason);
  end refuse;

  procedure require_number(
    p_name  in varchar2,
    p_value in varchar2,
    p_least in pls_integer,
    p_most  in pls_integer
  ) is
  begin
    if rtrim(p_value, '0123456789') is not null
       or length(p_value) > 9
       or to_number(p_value) not between p_least and p_most
    then
      refuse(p_name => p_name, p_reason => 'must be a whole number from ' || p_least || ' to ' || p_most);
    end if;
  end require_number;

  procedure require_one_of(
    p_name  in varchar2,
    p_value in varchar2,
    p_1     in varchar2,
    p_2     in varchar2,
    p_3     in varchar2 default null
  ) is
  begin
    if p_value not in (p_1, p_2, nvl(p_3, p_1)) then
      refuse(
        p_name   => p_name,
        p_reason => 'must be ' || p_1 || ' or ' || p_2 || case when p_3 is not null then ' or ' || p_3 end
      );
    end if;
  end require_one_of;

  procedure require_header_safe(p_name in varchar2, p_value in varchar2) is
  begin
    if not is_header_safe(p_text => p_value) then
      refuse(p_name => p_name, p_reason => 'must be printable ASCII without spaces');
    end if;
  end require_header_safe;

  /** One allowed URL per word, each in its clean form, so that is_allowed can compare whole words. */
  function clean_urls(p_urls in varchar2) return varchar2 is
    l_url  varchar2(4000);
    l_list varchar2(32767);
    l_word pls_integer := 1;
  begin
    loop
      l_url := regexp_substr(p_urls, '[^ ]+', 1, l_word);
      exit when l_url is null;
      l_list := l_list || case when l_list is not null then ' ' end || clean_url(p_url => l_url);
      l_word := l_word + 1;
    end loop;
    return l_list;
  end clean_urls;

  function checked(p_name in varchar2, p_value in varchar2) return varchar2 is
  begin
    case p_name
      when c_base_url then return clean_url(p_url => p_value);
      when c_allowed_base_urls then return clean_urls(p_urls => p_value);
      when c_allow_http then require_one_of(p_name => p_name, p_value => p_value, p_1 => c_yes, p_2 => c_no);
      when c_api_key then require_header_safe(p_name => p_name, p_value => p_value);
      when c_transport then require_one_of(p_name => p_name, p_value => p_value, p_1 => c_mle, p_2 => c_utl_http);
      when c_timeout_s then require_number(p_name => p_name, p_value => p_value, p_least => 1, p_most => 60);
      when c_wallet_path then
        if p_value <> 'system:' and p_value not like 'file:_%' then
          refuse(p_name => p_name, p_reason => 'must be file:<directory on the database server> or system:');
        end if;
      when c_proxy then require_header_safe(p_name => p_name, p_value => p_value);
      when c_token_secret then
        if utl_raw.length(r => utl_i18n.string_to_raw(data => p_value, dst_charset => 'AL32UTF8')) < c_min_secret_bytes
        then
          refuse(p_name => p_name, p_reason => 'must have at least ' || c_min_secret_bytes || ' bytes');
        end if;
      when c_token_lifetime_s then
        require_number(p_name => p_name, p_value => p_value, p_least => 60, p_most => 86400);
      when c_delivery then require_one_of(p_name => p_name, p_value => p_value, p_1 => c_on_commit, p_2 => c_now);
      when c_drain_by then require_one_of(p_name => p_name, p_value => p_value, p_1 => c_job, p_2 => c_relay);
      when c_drain_poll_s then require_number(p_name => p_name, p_value => p_value, p_least => 1, p_most => 60);
      when c_batch_size then require_number(p_name => p_name, p_value => p_value, p_least => 1, p_most => 1000);
      when c_max_attempts then require_number(p_name => p_name, p_value => p_value, p_least => 1, p_most => 100);
      when c_sent_keep_h then require_number(p_name => p_name, p_value => p_value, p_least => 1, p_most => 8760);
      when c_wake then require_one_of(p_name => p_name, p_value => p_value, p_1 => c_wake_none, p_2 => c_wake_queue);
      when c_log_level then
        require_one_of(p_name => p_name, p_value => p_value, p_1 => c_log_all, p_2 => c_log_errors, p_3 => c_log_off);
      when c_log_payload then require_one_of(p_name => p_name, p_value => p_value, p_1 => c_yes, p_2 => c_no);
      when c_log_keep_days then
        require_number(p_name => p_name, p_value => p_value, p_least => 1, p_most => 3650);
      else null; -- wallet_password: any text
    end case;
    return p_value;
  end checked;

  procedure set_value(p_name in varchar2, p_value in varchar2) is
    l_value  varchar2(32767);
    l_secret rtm_config.is_secret%type := case when is_secret(p_name => p_name) then c_yes else c_no end;
    l_who    rtm_config.updated_by%type :=
      coalesce(sys_context('APEX$SESSION', 'APP_USER'), sys_context('USERENV', 'SESSION_USER'));
  begin
    require_known(p_name => p_name);
    if p_value is not null then
      l_value := checked(p_name => p_name, p_value => p_value);
    end if;
    if l_value is null then
      -- After the check as well: a list of URLs that has nothing but spaces is empty, and the column takes no null.
      delete from rtm_config where name = p_name;
      return;
    end if;
    if lengthb(l_value) > c_value_max_bytes then
      refuse(p_name => p_name, p_reason => 'must have at most ' || c_value_max_bytes || ' bytes');
    end if;
    update rtm_config
       set value = l_value, is_secret = l_secret, updated_at = systimestamp, updated_by = l_who
     where name = p_name;
    if sql%rowcount = 0 then
      insert into rtm_config (name, value, is_secret, updated_by)
      values (p_name, l_value, l_secret, l_who);
    end if;
  end set_value;
end rtm_config_api;
/
