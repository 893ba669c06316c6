create or replace package body rtm_error
as
  -- raise_application_error takes 2048 bytes; what is longer is an ORA-21000 that hides the real cause.
  c_text_max_bytes constant pls_integer := 2000;

  function template_of_call(p_code in pls_integer) return varchar2 is
  begin
    return case p_code
      when c_channel_required then 'channel is required'
      when c_channel_too_long then 'channel is too long: %1 bytes, at most %2 are kept in this database'
      when c_event_name_too_long then 'event name is too long: %1 characters, at most %2 are allowed'
      when c_invalid_json then '%1 is not valid JSON; nothing was sent'
      when c_invalid_id then 'id must have 1 to %1 characters'
      when c_invalid_delivery then 'p_delivery is "%1", it must be ON_COMMIT or NOW'
      when c_override_needs_now then 'p_api_key or p_base_url differs from the stored configuration, which a row of'
        || ' the outbox cannot keep: use p_delivery => ''NOW'', or store them with rtm_config_api.set_value'
      when c_url_not_allowed then 'base URL "%1" is not allowed: %2'
      when c_invalid_api_key then 'the API key has a space, a control character or a character that is not ASCII'
    end;
  end template_of_call;

  function template_of_transport(p_code in pls_integer) return varchar2 is
  begin
    return case p_code
      when c_not_configured then 'setting "%1" is missing: rtm_config_api.set_value(''%1'', ...)'
      when c_acl_missing then 'the database may not call %1 (ORA-24247): a DBA grants the network ACL to this schema,'
        || ' see db/00_grants_and_acl.sql'
      when c_certificate_refused then 'the certificate of %1 is not trusted (%2): put its root certificate into the'
        || ' wallet, or set wallet_path to system: where the release knows it'
      when c_wallet_unusable then 'the wallet cannot be opened (%2): check the settings wallet_path and wallet_password'
        || ' and that the database server may read the directory'
      when c_timed_out then '%1 did not answer in time (%2)'
      when c_unreachable then '%1 cannot be reached (%2): is the server running, and host and port right?'
      when c_mle_missing then 'transport is MLE, and RTM_MLE_POST is missing or invalid: set transport to UTL_HTTP'
        || ' or run install.sql again'
      when c_transport_failed then 'the call to %1 failed: %2'
    end;
  end template_of_transport;

  function template_of_answer(p_code in pls_integer) return varchar2 is
  begin
    return case p_code
      when c_key_refused then 'the server refused the API key (HTTP %1): %2'
      when c_request_refused then 'the server refused the request (HTTP %1): %2'
      when c_too_large then 'the message is too large for the server (HTTP %1): %2'
      when c_rate_limited then 'the server asks to slow down (HTTP %1): %2'
      when c_unavailable then 'the server is not available now (HTTP %1): %2'
      when c_server_failed then 'the server failed (HTTP %1): %2'
      when c_answer_unreadable then 'the answer of the server cannot be read (HTTP %1): %2'
    end;
  end template_of_answer;

  function template_of_own(p_code in pls_integer) return varchar2 is
  begin
    return case p_code
      when c_secret_missing then 'setting "token_secret" is missing: without it no token can be signed'
      when c_user_required then 'user name is required'
      when c_unsafe_name then '%1 has a quotation mark, a backslash or a control character, which a token may not carry'
      when c_token_too_long then 'the token has %1 characters, at most %2 are allowed: grant fewer or shorter channels'
      when c_invalid_lifetime then 'lifetime must be 1 to %1 seconds'
      when c_unknown_setting then 'there is no setting "%1"'
      when c_invalid_setting then 'setting "%1": %2'
      when c_secret_not_readable then 'setting "%1" is a secret: it can be set, not read'
      when c_outbox_insert_failed then 'the message could not be stored in RTM_OUTBOX and will not be sent: %1'
      when c_outbox_row_unknown then 'RTM_OUTBOX has no parked row %1'
    end;
  end template_of_own;

  function template(p_code in pls_integer) return varchar2 is
  begin
    return coalesce(
      template_of_call(p_code => p_code),
      template_of_transport(p_code => p_code),
      template_of_answer(p_code => p_code),
      template_of_own(p_code => p_code),
      'error without a text'
    );
  end template;

  procedure fail(
    p_code       in pls_integer,
    p_1          in varchar2 default null,
    p_2          in varchar2 default null,
    p_keep_stack in boolean default false
  ) is
    l_text varchar2(32767);
  begin
    -- Arguments are cut first: a text of 32767 bytes in two places of one sentence is an ORA-06502 in the error path.
    l_text := replace(template(p_code => p_code), '%1', substrb(p_1, 1, c_text_max_bytes));
    l_text := replace(l_text, '%2', substrb(p_2, 1, c_text_max_bytes));
    raise_application_error(p_code, substrb(l_text, 1, c_text_max_bytes), p_keep_stack);
  end fail;
end rtm_error;
/
