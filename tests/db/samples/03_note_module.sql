prompt NOTE_MODULE: sends a note
set define off
create or replace mle module note_module language javascript as
import "mle-js-fetch";

export async function sendNote(url, id) {
  const answer = await fetch(url, { method: "POST", body: JSON.stringify({ id }) });
  return answer.status;
}
/
set define on

create or replace mle env note_env imports ('note' module note_module);

create or replace function note_send(
  p_url in varchar2,
  p_id  in number
) return number
as mle module note_module env note_env
signature 'sendNote(string, number)';
/
