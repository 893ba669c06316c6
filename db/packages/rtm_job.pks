create or replace package rtm_job
  authid definer
as
  /**
   * What the scheduler runs: sending the outbox and cleaning up. The only package besides the log that commits, and
   * therefore not for pages.
   *
   * One sender at a time. Whoever drains, this job or a relay, first locks the only row of RTM_OUTBOX_DRAIN; a second
   * one finds it locked and does nothing. That keeps the order within a channel, which parallel senders would not.
   *
   * Order: two messages of one channel go out in the order of their ids, and the id of a message that is inserted after
   * another one was committed is the higher one. A message whose transaction commits late goes out late; none is
   * skipped. A message that the server refuses leaves its place, so that it does not stop the others.
   *
   * When the server cannot be reached, or takes nothing (no key, no room, draining), nothing is skipped: sending stops
   * and goes on with the same row after 2, 4, 8 ... 64 seconds.
   */
  c_source constant varchar2(30) := 'RTM_JOB';

  /**
   * Sends what is due, in batches, one transaction each. Returns when nothing is due and p_run_s are over.
   * @param p_run_s seconds to wait for more, looking every drain_poll_s; 0 sends what is due now and returns
   */
  procedure drain(p_run_s in number default 0);

  /** What the job RTM_DRAIN_JOB calls once a minute: drain for most of it, unless drain_by is RELAY. */
  procedure run_drain;

  /** What the job RTM_PURGE_JOB calls: purges RTM_LOG by log_keep_days and sent rows of RTM_OUTBOX by sent_keep_h. */
  procedure run_purge;
end rtm_job;
/
