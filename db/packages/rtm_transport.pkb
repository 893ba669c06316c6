create or replace package body rtm_transport
as
  c_charset          constant varchar2(10 char) := 'AL32UTF8';
  c_chunk_bytes      constant pls_integer := 16000;
  -- A batch of 1000 results has 300 kB; more than this is no answer of the server.
  c_answer_max_bytes constant pls_integer := 4000000;

  -- How far a request has got, and so what has to be closed when it fails.
  c_nothing_open  constant pls_integer := 0;
  c_request_open  constant pls_integer := 1;
  c_response_open constant pls_integer := 2;

  -- Why the call failed, taken before anything is closed: a second error while closing would take its place.
  g_stack varchar2(32767);

  -- What belongs to the session and not to us, kept to be put back.
  type t_session is record (
    timeout_s         pls_integer,
    redirects         pls_integer,
    raises_on_status  boolean,
    is_proxy_changed  boolean,
    proxy             varchar2(4000),
    no_proxy_domains  varchar2(4000)
  );

  function has_any(
    p_stack in varchar2,
    p_1     in varchar2,
    p_2     in varchar2 default null,
    p_3     in varchar2 default null,
    p_4     in varchar2 default null
  ) return boolean is
  begin
    return instr(p_stack, p_1) > 0
      or nvl(instr(p_stack, p_2), 0) > 0
      or nvl(instr(p_stack, p_3), 0) > 0
      or nvl(instr(p_stack, p_4), 0) > 0;
  end has_any;

  function code_of(p_stack in varchar2) return pls_integer is
  begin
    -- Read from the text and not from sqlcode: UTL_HTTP wraps the cause in ORA-29273, and MLE in ORA-04161.
    return case
      when has_any(p_stack => p_stack, p_1 => 'ORA-24247') then rtm_error.c_acl_missing
      when has_any(p_stack => p_stack, p_1 => 'ORA-29024', p_2 => 'ORA-24263', p_3 => 'ORA-28860', p_4 => 'ORA-28862')
        then rtm_error.c_certificate_refused
      when has_any(p_stack => p_stack, p_1 => 'ORA-28759', p_2 => 'ORA-28768', p_3 => 'ORA-29248')
        then rtm_error.c_wallet_unusable
      when has_any(p_stack => p_stack, p_1 => 'ORA-29276', p_2 => 'ORA-12535', p_3 => 'ORA-12170', p_4 => 'ORA-12609')
        then rtm_error.c_timed_out
      when has_any(p_stack => p_stack, p_1 => 'ORA-12541', p_2 => 'ORA-12545', p_3 => 'ORA-12543', p_4 => 'ORA-29259')
        then rtm_error.c_unreachable
      when has_any(p_stack => p_stack, p_1 => 'PLS-00201', p_2 => 'PLS-00905') then rtm_error.c_mle_missing
      else rtm_error.c_transport_failed
    end;
  end code_of;

  function present_stack return varchar2 is
    l_stack varchar2(32767) := dbms_utility.format_error_stack();
  begin
    if instr(l_stack, 'ORA-29273') > 0 then
      -- Only then is it the detail of this failure; otherwise it is still that of an earlier one in the session.
      l_stack := l_stack || utl_http.get_detailed_sqlerrm();
    end if;
    return l_stack;
  end present_stack;

  /** Turns an error into one of ours, with the cause in words and the old stack below it. */
  procedure raise_cause(p_base_url in varchar2, p_stack in varchar2) is
  begin
    rtm_error.fail(
      p_code       => code_of(p_stack => p_stack),
      p_1          => p_base_url,
      p_2          => replace(substr(p_stack, 1, 600), chr(10), ' '),
      p_keep_stack => true
    );
  end raise_cause;

  function is_stored_url(p_base_url in varchar2) return boolean is
    l_stored varchar2(4000) := rtm_config_api.get_value(p_name => rtm_config_api.c_base_url);
  begin
    if p_base_url is null then
      return true;
    end if;
    return nvl(rtm_config_api.clean_url(p_url => p_base_url) = l_stored, false);
  end is_stored_url;

  function is_stored_target(p_base_url in varchar2, p_api_key in varchar2) return boolean is
  begin
    if not is_stored_url(p_base_url => p_base_url) then
      return false;
    end if;
    return p_api_key is null
      or nvl(p_api_key = rtm_secret.stored_value(p_name => rtm_config_api.c_api_key), false);
  end is_stored_target;

  /** The target of a call. The stored key goes to the stored URL only: another server would learn it. */
  procedure resolve(
    p_base_url  in varchar2,
    p_api_key   in varchar2,
    po_base_url out varchar2,
    po_api_key  out varchar2
  ) is
  begin
    po_api_key := p_api_key;
    if is_stored_url(p_base_url => p_base_url) then
      po_base_url := rtm_config_api.get_value(p_name => rtm_config_api.c_base_url);
      po_api_key := nvl(p_api_key, rtm_secret.stored_value(p_name => rtm_config_api.c_api_key));
    elsif rtm_config_api.is_allowed(p_url => p_base_url) then
      po_base_url := p_base_url;
    else
      rtm_error.fail(
        p_code => rtm_error.c_url_not_allowed,
        p_1    => rtm_config_api.clean_url(p_url => p_base_url),
        p_2    => 'it is neither the setting base_url nor one of allowed_base_urls'
      );
    end if;
    if po_base_url is null then
      rtm_error.fail(p_code => rtm_error.c_not_configured, p_1 => rtm_config_api.c_base_url);
    end if;
    -- Again at each call: allow_http may have been taken back since the URL was stored.
    po_base_url := rtm_config_api.clean_url(p_url => po_base_url);
    if po_api_key is not null and not rtm_config_api.is_header_safe(p_text => po_api_key) then
      rtm_error.fail(p_code => rtm_error.c_invalid_api_key);
    end if;
  end resolve;

  procedure remember_session(po_before out t_session) is
  begin
    utl_http.get_transfer_timeout(timeout => po_before.timeout_s);
    utl_http.get_follow_redirect(max_redirects => po_before.redirects);
    utl_http.get_response_error_check(enable => po_before.raises_on_status);
    po_before.is_proxy_changed := rtm_secret.stored_value(p_name => rtm_config_api.c_proxy) is not null;
    if po_before.is_proxy_changed then
      utl_http.get_proxy(proxy => po_before.proxy, no_proxy_domains => po_before.no_proxy_domains);
    end if;
  end remember_session;

  procedure prepare_session(p_before in t_session) is
    l_wallet varchar2(4000) := rtm_config_api.get_value(p_name => rtm_config_api.c_wallet_path);
  begin
    utl_http.set_transfer_timeout(timeout => rtm_config_api.get_number(p_name => rtm_config_api.c_timeout_s));
    utl_http.set_follow_redirect(max_redirects => 0);
    utl_http.set_response_error_check(enable => false);
    if p_before.is_proxy_changed then
      utl_http.set_proxy(
        proxy            => rtm_secret.stored_value(p_name => rtm_config_api.c_proxy),
        no_proxy_domains => p_before.no_proxy_domains
      );
    end if;
    if l_wallet is not null then
      -- The one setting that cannot be read and put back: the session keeps this wallet.
      utl_http.set_wallet(
        path     => l_wallet,
        password => rtm_secret.stored_value(p_name => rtm_config_api.c_wallet_password)
      );
    end if;
  end prepare_session;

  procedure restore_session(p_before in t_session) is
  begin
    utl_http.set_transfer_timeout(timeout => p_before.timeout_s);
    utl_http.set_follow_redirect(max_redirects => p_before.redirects);
    utl_http.set_response_error_check(enable => p_before.raises_on_status);
    if p_before.is_proxy_changed then
      utl_http.set_proxy(proxy => p_before.proxy, no_proxy_domains => p_before.no_proxy_domains);
    end if;
  end restore_session;

  procedure free_bytes(pio_bytes in out nocopy blob) is
  begin
    if dbms_lob.istemporary(lob_loc => pio_bytes) = 1 then
      dbms_lob.freetemporary(lob_loc => pio_bytes);
    end if;
  end free_bytes;

  procedure to_utf8(p_text in clob, po_bytes out nocopy blob) is
    l_to      integer := 1;
    l_from    integer := 1;
    l_context integer := dbms_lob.default_lang_ctx;
    l_warning integer;
  begin
    dbms_lob.createtemporary(lob_loc => po_bytes, cache => true, dur => dbms_lob.call);
    dbms_lob.converttoblob(
      dest_lob     => po_bytes,
      src_clob     => p_text,
      amount       => dbms_lob.lobmaxsize,
      dest_offset  => l_to,
      src_offset   => l_from,
      blob_csid    => nls_charset_id(c_charset),
      lang_context => l_context,
      warning      => l_warning
    );
  end to_utf8;

  procedure from_utf8(p_bytes in blob, po_text out nocopy clob) is
    l_to      integer := 1;
    l_from    integer := 1;
    l_context integer := dbms_lob.default_lang_ctx;
    l_warning integer;
  begin
    dbms_lob.createtemporary(lob_loc => po_text, cache => true, dur => dbms_lob.call);
    if dbms_lob.getlength(lob_loc => p_bytes) > 0 then
      dbms_lob.converttoclob(
        dest_lob     => po_text,
        src_blob     => p_bytes,
        amount       => dbms_lob.lobmaxsize,
        dest_offset  => l_to,
        src_offset   => l_from,
        blob_csid    => nls_charset_id(c_charset),
        lang_context => l_context,
        warning      => l_warning
      );
    end if;
  end from_utf8;

  procedure write_body(pio_request in out nocopy utl_http.req, p_bytes in blob) is
    l_length pls_integer := dbms_lob.getlength(lob_loc => p_bytes);
    l_offset pls_integer := 1;
    l_amount integer;
    l_chunk  raw(32767);
  begin
    while l_offset <= l_length loop
      l_amount := c_chunk_bytes;
      dbms_lob.read(lob_loc => p_bytes, amount => l_amount, offset => l_offset, buffer => l_chunk);
      utl_http.write_raw(r => pio_request, data => l_chunk);
      l_offset := l_offset + l_amount;
    end loop;
  end write_body;

  procedure read_body(pio_response in out nocopy utl_http.resp, po_bytes out nocopy blob) is
    l_chunk raw(32767);
  begin
    dbms_lob.createtemporary(lob_loc => po_bytes, cache => true, dur => dbms_lob.call);
    begin
      while dbms_lob.getlength(lob_loc => po_bytes) < c_answer_max_bytes loop
        utl_http.read_raw(r => pio_response, data => l_chunk, len => c_chunk_bytes);
        dbms_lob.writeappend(lob_loc => po_bytes, amount => utl_raw.length(r => l_chunk), buffer => l_chunk);
      end loop;
    exception
      when utl_http.end_of_body then
        null; -- the whole answer is read
    end;
  end read_body;

  /** A request that is left open takes one of the five a session may have, until ORA-29270 refuses the next. */
  procedure close_connection(
    p_open       in pls_integer,
    pio_request  in out nocopy utl_http.req,
    pio_response in out nocopy utl_http.resp
  ) is
  begin
    if p_open = c_response_open then
      utl_http.end_response(r => pio_response);
    elsif p_open = c_request_open then
      utl_http.end_request(r => pio_request);
    end if;
  exception
    when utl_http.request_failed or utl_http.protocol_error or utl_http.illegal_call or utl_http.bad_argument
      or utl_http.transfer_timeout
    then
      null; -- the connection is gone already, which is why the caller is here with the error that counts
  end close_connection;

  procedure post_by_utl_http(
    p_url      in varchar2,
    p_api_key  in varchar2,
    p_body     in clob,
    pio_answer in out nocopy t_answer
  ) is
    l_request  utl_http.req;
    l_response utl_http.resp;
    l_open     pls_integer := c_nothing_open;
    l_sent     blob;
    l_received blob;
  begin
    to_utf8(p_text => p_body, po_bytes => l_sent);
    l_request := utl_http.begin_request(url => p_url, method => 'POST', http_version => utl_http.http_version_1_1);
    l_open := c_request_open;
    utl_http.set_header(r => l_request, name => 'Content-Type', value => 'application/json; charset=utf-8');
    -- In bytes: a length in characters cuts the body at the first umlaut.
    utl_http.set_header(
      r     => l_request,
      name  => 'Content-Length',
      value => to_char(dbms_lob.getlength(lob_loc => l_sent))
    );
    if p_api_key is not null then
      utl_http.set_header(r => l_request, name => 'X-API-Key', value => p_api_key);
    end if;
    write_body(pio_request => l_request, p_bytes => l_sent);
    l_response := utl_http.get_response(r => l_request);
    l_open := c_response_open;
    pio_answer.status := l_response.status_code;
    read_body(pio_response => l_response, po_bytes => l_received);
    l_open := c_nothing_open;
    utl_http.end_response(r => l_response);
    from_utf8(p_bytes => l_received, po_text => pio_answer.body);
    free_bytes(pio_bytes => l_sent);
    free_bytes(pio_bytes => l_received);
  exception
    when others then
      g_stack := present_stack();
      close_connection(p_open => l_open, pio_request => l_request, pio_response => l_response);
      free_bytes(pio_bytes => l_sent);
      free_bytes(pio_bytes => l_received);
      raise;
  end post_by_utl_http;

  procedure post_by_mle(
    p_url      in varchar2,
    p_api_key  in varchar2,
    p_body     in clob,
    pio_answer in out nocopy t_answer
  ) is
    -- Dynamic, with a text that never changes: where MLE is absent or broken, this package must still be valid.
    c_call constant varchar2(100 char) := 'begin :answer := rtm_mle_post(:url, :api_key, :body); end;';
    l_text   clob;
    l_answer json_object_t;
  begin
    execute immediate c_call using out l_text, in p_url, in p_api_key, in p_body;
    l_answer := json_object_t.parse(jsn => l_text);
    pio_answer.status := l_answer.get_number(key => 'status');
    pio_answer.body := l_answer.get_clob(key => 'body');
  end post_by_mle;

  function milliseconds_since(p_start in timestamp with time zone) return number is
    l_elapsed interval day to second := systimestamp - p_start;
  begin
    return round(
      extract(day from l_elapsed) * 86400000
      + extract(hour from l_elapsed) * 3600000
      + extract(minute from l_elapsed) * 60000
      + extract(second from l_elapsed) * 1000
    );
  end milliseconds_since;

  function post(
    p_path     in varchar2,
    p_body     in clob,
    p_base_url in varchar2 default null,
    p_api_key  in varchar2 default null
  ) return t_answer is
    l_base_url varchar2(4000);
    l_api_key  varchar2(4000);
    l_before   t_session;
    l_answer   t_answer;
    l_start    timestamp with time zone := systimestamp;
  begin
    resolve(p_base_url => p_base_url, p_api_key => p_api_key, po_base_url => l_base_url, po_api_key => l_api_key);
    remember_session(po_before => l_before);
    g_stack := null;
    begin
      prepare_session(p_before => l_before);
      if rtm_config_api.get_value(p_name => rtm_config_api.c_transport) = rtm_config_api.c_mle then
        post_by_mle(p_url => l_base_url || p_path, p_api_key => l_api_key, p_body => p_body, pio_answer => l_answer);
      else
        post_by_utl_http(
          p_url      => l_base_url || p_path,
          p_api_key  => l_api_key,
          p_body     => p_body,
          pio_answer => l_answer
        );
      end if;
    exception
      when others then
        g_stack := nvl(g_stack, present_stack());
        restore_session(p_before => l_before);
        raise_cause(p_base_url => l_base_url, p_stack => g_stack);
        raise;
    end;
    restore_session(p_before => l_before);
    l_answer.duration_ms := milliseconds_since(p_start => l_start);
    return l_answer;
  end post;

  procedure require_ok(p_answer in t_answer) is
    l_code pls_integer;
  begin
    if p_answer.status = 200 then
      return;
    end if;
    l_code := case
      when p_answer.status = 401 then rtm_error.c_key_refused
      when p_answer.status = 413 then rtm_error.c_too_large
      when p_answer.status = 429 then rtm_error.c_rate_limited
      when p_answer.status in (502, 503, 504) then rtm_error.c_unavailable
      when p_answer.status between 400 and 499 then rtm_error.c_request_refused
      else rtm_error.c_server_failed
    end;
    rtm_error.fail(
      p_code => l_code,
      p_1    => to_char(p_answer.status),
      p_2    => rtm_message.failure_text(p_answer => p_answer.body)
    );
  end require_ok;
end rtm_transport;
/
