create or replace package note_api
  authid definer
as
  subtype t_title is varchar2(200 char);

  c_untitled constant t_title := 'untitled';

  type t_note is record (
    id    number,
    title t_title,
    body  clob
  );
  type t_notes is table of t_note index by pls_integer;

  procedure add_note(p_title in t_title, p_body in clob default null, po_id out number);

  function note_of(p_id in number) return t_note;

  function note_json(p_id in number, p_author in varchar2 default null) return clob;

  function notes_of(p_author in varchar2) return t_notes;

  procedure send(p_id in number, p_url in varchar2, p_api_key in varchar2);

  procedure archive(p_notes in t_notes);
end note_api;
/
