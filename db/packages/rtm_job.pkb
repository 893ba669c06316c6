create or replace package body rtm_job
as
  -- A bit less than the job's interval: the next run begins where this one ends.
  c_run_s           constant pls_integer := 55;
  c_purge_rows      constant pls_integer := 10000;
  c_max_back_off_s  constant pls_integer := 64;
  c_error_max_bytes constant pls_integer := 4000;

  -- Codes by which the server says that the message is not at fault (docs/protocol.md, section 9).
  c_not_now constant varchar2(100) := ' unavailable rate_limited limit_exceeded internal timeout ';

  cursor cur_due is
    select o.id, o.message_id, o.channel, o.event_name, o.payload, o.meta, o.source, o.attempts
      from rtm_outbox o
     where o.status = rtm_outbox_api.c_pending
       and o.next_attempt_at <= systimestamp
     order by o.id
       for update skip locked;

  type t_rows is table of cur_due%rowtype index by pls_integer;

  function back_off_s(p_failures in pls_integer) return pls_integer is
  begin
    return least(power(2, least(p_failures, 10)), c_max_back_off_s);
  end back_off_s;

  /** Takes the right to send; the lock goes with the next commit. False when another one has it, or it is too early. */
  function may_drain return boolean is
    l_resume_at rtm_outbox_drain.resume_at%type;
  begin
    select d.resume_at
      into l_resume_at
      from rtm_outbox_drain d
     where d.id = 1
       for update skip locked;
    return l_resume_at <= systimestamp;
  exception
    when no_data_found then
      return false;
  end may_drain;

  procedure note_success is
  begin
    update rtm_outbox_drain
       set failures = 0, last_ok_at = systimestamp, drained_by = c_source
     where id = 1;
  end note_success;

  procedure note_failure(p_error in varchar2) is
    l_error    rtm_outbox_drain.last_error%type := substrb(p_error, 1, c_error_max_bytes);
    l_failures rtm_outbox_drain.failures%type;
    l_wait_s   pls_integer;
  begin
    update rtm_outbox_drain
       set failures = failures + 1,
           last_error = l_error,
           last_error_at = systimestamp,
           drained_by = c_source
     where id = 1
    returning failures into l_failures;
    l_wait_s := back_off_s(p_failures => l_failures);
    update rtm_outbox_drain
       set resume_at = systimestamp + numtodsinterval(l_wait_s, 'SECOND')
     where id = 1;
    rtm_log_api.log_in_transaction(
      p_source     => c_source,
      p_channel    => null,
      p_event_name => null,
      p_extra_info => 'failure ' || to_char(l_failures) || ' in a row, next try in '
        || to_char(l_wait_s) || ' s',
      p_error      => p_error
    );
  end note_failure;

  procedure log_row(
    p_row    in cur_due%rowtype,
    p_status in varchar2,
    p_error  in varchar2,
    p_answer in rtm_transport.t_answer
  ) is
  begin
    rtm_log_api.log_in_transaction(
      p_source       => p_row.source,
      p_channel      => p_row.channel,
      p_event_name   => p_row.event_name,
      p_payload_json => p_row.payload,
      p_http_status  => p_answer.status,
      p_extra_info   => 'outbox row ' || to_char(p_row.id),
      p_error        => p_error,
      p_status       => p_status,
      p_duration_ms  => p_answer.duration_ms,
      p_message_id   => p_row.message_id
    );
  end log_row;

  procedure mark_sent(
    p_row    in cur_due%rowtype,
    p_result in rtm_message.t_result,
    p_answer in rtm_transport.t_answer
  ) is
  begin
    update rtm_outbox
       set status = rtm_outbox_api.c_sent,
           publication_epoch = p_result.epoch,
           publication_offset = p_result.publication_offset,
           sent_at = systimestamp,
           sent_by = c_source,
           error = null
     where id = p_row.id;
    log_row(p_row => p_row, p_status => rtm_log_api.c_sent, p_error => null, p_answer => p_answer);
  end mark_sent;

  procedure mark_refused(p_row in cur_due%rowtype, p_error in varchar2, p_answer in rtm_transport.t_answer) is
    l_attempts  pls_integer := p_row.attempts + 1;
    l_is_parked boolean := l_attempts >= rtm_config_api.get_number(p_name => rtm_config_api.c_max_attempts);
    l_status    rtm_outbox.status%type :=
      case when l_is_parked then rtm_outbox_api.c_parked else rtm_outbox_api.c_pending end;
    l_wait_s    pls_integer := back_off_s(p_failures => l_attempts);
    -- Cut before the statement: a code and a long message are more than 4000 bytes, which SQL does not take (ORA-01461).
    -- Then the row could not be marked, and the job would send and fail with it for ever.
    l_error     rtm_outbox.error%type := substrb(p_error, 1, c_error_max_bytes);
  begin
    update rtm_outbox
       set status = l_status,
           attempts = l_attempts,
           next_attempt_at = systimestamp + numtodsinterval(l_wait_s, 'SECOND'),
           error = l_error
     where id = p_row.id;
    log_row(
      p_row    => p_row,
      p_status => case when l_is_parked then rtm_log_api.c_parked else rtm_log_api.c_refused end,
      p_error  => p_error,
      p_answer => p_answer
    );
  end mark_refused;

  function publications_of(p_rows in t_rows) return rtm_message.t_publications is
    l_publications rtm_message.t_publications;
  begin
    for i in 1 .. p_rows.count loop
      l_publications(i).channel := p_rows(i).channel;
      l_publications(i).event_name := p_rows(i).event_name;
      l_publications(i).payload := p_rows(i).payload;
      l_publications(i).meta := p_rows(i).meta;
      l_publications(i).id := p_rows(i).message_id;
    end loop;
    return l_publications;
  end publications_of;

  function post_batch(
    p_publications in rtm_message.t_publications,
    p_first        in pls_integer,
    p_last         in pls_integer
  ) return rtm_transport.t_answer is
    l_body   clob;
    l_answer rtm_transport.t_answer;
  begin
    l_body := rtm_message.batch_body(p_publications => p_publications, p_first => p_first, p_last => p_last);
    l_answer := rtm_transport.post(p_path => rtm_message.c_path_batch, p_body => l_body);
    rtm_message.free(pio_lob => l_body);
    return l_answer;
  exception
    when others then
      -- The job is one long call: what is not freed here stays until it ends.
      rtm_message.free(pio_lob => l_body);
      raise;
  end post_batch;

  procedure apply_results(
    p_rows   in t_rows,
    p_first  in pls_integer,
    p_last   in pls_integer,
    p_answer in rtm_transport.t_answer
  ) is
    l_results rtm_message.t_results :=
      rtm_message.batch_results(p_answer => p_answer.body, p_count => p_last - p_first + 1);
    l_result  rtm_message.t_result;
    l_not_now rtm_message.t_result;
  begin
    for i in p_first .. p_last loop
      l_result := l_results(i - p_first + 1);
      if l_result.is_ok then
        mark_sent(p_row => p_rows(i), p_result => l_result, p_answer => p_answer);
      elsif instr(c_not_now, ' ' || l_result.code || ' ') > 0 then
        -- The row stays as it is and is the first of the next batch.
        l_not_now := l_result;
      else
        mark_refused(
          p_row    => p_rows(i),
          p_error  => l_result.code || ': ' || l_result.message,
          p_answer => p_answer
        );
      end if;
    end loop;
    if l_not_now.code is not null then
      rtm_error.fail(p_code => rtm_error.c_unavailable, p_1 => l_not_now.code, p_2 => l_not_now.message);
    end if;
  end apply_results;

  /**
   * Sends the rows p_first to p_last. A request that is refused as a whole (400: one payload is unreadable, 413:
   * together too large) is halved until the row at fault is alone; the others go out in their order.
   */
  procedure send(
    p_rows         in t_rows,
    p_publications in rtm_message.t_publications,
    p_first        in pls_integer,
    p_last         in pls_integer
  ) is
    l_answer rtm_transport.t_answer;
    l_middle pls_integer;
  begin
    l_answer := post_batch(p_publications => p_publications, p_first => p_first, p_last => p_last);
    if l_answer.status not in (400, 413) then
      rtm_transport.require_ok(p_answer => l_answer);
      apply_results(p_rows => p_rows, p_first => p_first, p_last => p_last, p_answer => l_answer);
    elsif p_first = p_last then
      mark_refused(
        p_row    => p_rows(p_first),
        p_error  => 'HTTP ' || to_char(l_answer.status) || ': '
          || rtm_message.failure_text(p_answer => l_answer.body),
        p_answer => l_answer
      );
    else
      l_middle := trunc((p_first + p_last) / 2);
      send(p_rows => p_rows, p_publications => p_publications, p_first => p_first, p_last => l_middle);
      send(p_rows => p_rows, p_publications => p_publications, p_first => l_middle + 1, p_last => p_last);
    end if;
    rtm_message.free(pio_lob => l_answer.body);
  exception
    when others then
      rtm_message.free(pio_lob => l_answer.body);
      raise;
  end send;

  function fetch_due return t_rows is
    l_rows t_rows;
    -- Rows are locked as they are fetched (that is what SKIP LOCKED does), so the limit is also that of the locks.
    l_size pls_integer := rtm_config_api.get_number(p_name => rtm_config_api.c_batch_size);
  begin
    open cur_due;
    fetch cur_due bulk collect into l_rows limit l_size;
    close cur_due;
    return l_rows;
  exception
    when others then
      -- A cursor of the package outlives the error, and the next open would fail with ORA-06511.
      if cur_due%isopen then
        close cur_due;
      end if;
      raise;
  end fetch_due;

  /** One batch, one transaction. Returns how many rows it took up, 0 when there is nothing to do now. */
  function drain_batch return pls_integer is
    l_rows         t_rows;
    l_publications rtm_message.t_publications;
    l_last         pls_integer;
  begin
    if not may_drain() then
      commit;
      return 0;
    end if;
    l_rows := fetch_due();
    l_last := l_rows.count;
    if l_last > 0 then
      l_publications := publications_of(p_rows => l_rows);
      l_last := rtm_message.last_fitting(p_publications => l_publications, p_first => 1, p_max_count => l_last);
      send(p_rows => l_rows, p_publications => l_publications, p_first => 1, p_last => l_last);
      note_success;
    end if;
    commit;
    return l_last;
  exception
    when others then
      -- The marks of what went out before the failure are kept. What the configuration, the network or the server did
      -- is a reason to try again; anything else is a fault of ours and ends the run, so that the scheduler shows it.
      if sqlcode between -20729 and -20700 then
        note_failure(p_error => sqlerrm);
        commit;
        return 0;
      end if;
      rollback;
      rtm_log_api.log_event(
        p_source     => c_source,
        p_channel    => null,
        p_event_name => null,
        p_extra_info => dbms_utility.format_error_backtrace(),
        p_error      => sqlerrm
      );
      raise;
  end drain_batch;

  procedure drain(p_run_s in number default 0) is
    l_end  timestamp with time zone := systimestamp + numtodsinterval(p_run_s, 'SECOND');
    l_sent pls_integer;
  begin
    loop
      l_sent := drain_batch();
      if l_sent = 0 then
        exit when systimestamp >= l_end;
        dbms_session.sleep(seconds => rtm_config_api.get_number(p_name => rtm_config_api.c_drain_poll_s));
      end if;
    end loop;
  end drain;

  procedure run_drain is
  begin
    if rtm_config_api.get_value(p_name => rtm_config_api.c_drain_by) = rtm_config_api.c_job then
      drain(p_run_s => c_run_s);
    end if;
  end run_drain;

  procedure run_purge is
    l_keep_h  pls_integer := rtm_config_api.get_number(p_name => rtm_config_api.c_sent_keep_h);
    l_limit   rtm_outbox.sent_at%type := systimestamp - numtodsinterval(l_keep_h, 'HOUR');
    l_deleted pls_integer;
  begin
    l_deleted := rtm_log_api.purge();
    loop
      delete from rtm_outbox
       where status = rtm_outbox_api.c_sent
         and sent_at < l_limit
         and rownum <= c_purge_rows;
      l_deleted := sql%rowcount;
      commit;
      exit when l_deleted < c_purge_rows;
    end loop;
  end run_purge;
end rtm_job;
/
