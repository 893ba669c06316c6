create or replace package body note_api
as
  c_scope constant varchar2(128 char) := lower($$plsql_unit);

  e_bulk_errors exception;
  pragma exception_init(e_bulk_errors, -24381);

  cursor cur_notes(p_author in varchar2) is
    select n.id, n.title, n.body
      from note n
     where n.author = p_author
     order by n.id;

  procedure log_step(p_step in varchar2) is
  begin
    rtm_log_api.log_event(p_text => p_step, p_source => c_scope);
  end log_step;

  procedure add_note(p_title in t_title, p_body in clob default null, po_id out number) is
  begin
    if p_title is null then
      rtm_error.fail(p_code => rtm_error.c_title_missing);
    elsif p_body is not json (strict) then
      rtm_error.fail(p_code => rtm_error.c_note_missing, p_text => 'the body is not JSON');
    end if;
    insert into note (title, body)
    values (nvl(p_title, c_untitled), p_body)
    returning id into po_id;
    log_step(p_step => 'added ' || to_char(po_id));
  end add_note;

  function note_of(p_id in number) return t_note is
    l_note t_note;
  begin
    select n.id, n.title, n.body
      into l_note.id, l_note.title, l_note.body
      from note n
     where n.id = p_id;
    return l_note;
  exception
    when no_data_found then
      rtm_error.fail(p_code => rtm_error.c_note_missing, p_text => to_char(p_id));
      raise;
  end note_of;

  function note_json(p_id in number, p_author in varchar2 default null) return clob is
    l_note t_note := note_of(p_id => p_id);
    l_meta json_object_t := json_object_t();
  begin
    if p_author is not null then
      l_meta.put(key => 'author', val => p_author);
    end if;
    return json_object(
      'id' value l_note.id,
      key 'title' value nvl(l_note.title, c_untitled),
      'body' value l_note.body format json,
      'meta' value l_meta.to_clob() format json
      null on null
      returning clob
    );
  end note_json;

  function notes_of(p_author in varchar2) return t_notes is
    l_notes t_notes;
  begin
    for r_note in cur_notes(p_author) loop
      l_notes(l_notes.count + 1).id := r_note.id;
      l_notes(l_notes.count).title := r_note.title;
      exit when l_notes.count >= 100;
    end loop;
    return l_notes;
  end notes_of;

  procedure send(p_id in number, p_url in varchar2, p_api_key in varchar2) is
    l_request  utl_http.req;
    l_response utl_http.resp;
    l_status   pls_integer;
  begin
    l_request := utl_http.begin_request(url => p_url, method => 'POST');
    utl_http.set_header(r => l_request, name => 'X-API-Key', value => p_api_key);
    l_response := utl_http.get_response(r => l_request);
    l_status := l_response.status_code;
    utl_http.end_response(r => l_response);
    log_step(p_step => 'sent ' || to_char(p_id) || ': ' || to_char(l_status));
  exception
    when others then
      utl_http.end_response(r => l_response);
      raise;
  end send;

  procedure archive(p_notes in t_notes) is
  begin
    forall i in 1 .. p_notes.count save exceptions
      insert into note_archive (id, title, body)
      values (p_notes(i).id, p_notes(i).title, p_notes(i).body);
  exception
    when e_bulk_errors then
      log_step(p_step => to_char(sql%rowcount) || ' archived before the errors');
      raise;
  end archive;
end note_api;
/
