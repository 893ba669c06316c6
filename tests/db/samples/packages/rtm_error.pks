create or replace package rtm_error
as
  c_note_missing constant pls_integer := -20700;
  e_note_missing exception;
  pragma exception_init(e_note_missing, -20700);

  c_title_missing constant pls_integer := -20701;
  e_title_missing exception;
  pragma exception_init(e_title_missing, -20701);

  procedure fail(p_code in pls_integer, p_text in varchar2 default null);
end rtm_error;
/
