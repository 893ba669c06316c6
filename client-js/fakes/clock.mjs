// A clock that stands still until a test moves it.

export class FakeClock {
  #now = 0;
  #lastId = 0;
  #timers = new Map();

  setTimeout = (action, delayMs = 0) => {
    const at = this.#now + Math.floor(delayMs); // whole milliseconds, as in a browser
    this.#timers.set((this.#lastId += 1), { action, at });
    return this.#lastId;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  /** Milliseconds until each timer, soonest first. */
  get waiting() {
    return Array.from(this.#timers.values(), ({ at }) => at - this.#now).sort((a, b) => a - b);
  }

  /** Runs what is due in the next `ms`, in order, with what it starts itself. */
  advance(ms) {
    const end = this.#now + Math.ceil(ms);
    for (;;) {
      const due = Array.from(this.#timers).filter(([, timer]) => timer.at <= end);
      if (!due.length) break;
      const [id, { action, at }] = due.reduce((first, one) => (one[1].at < first[1].at ? one : first));
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, at);
      action();
    }
    this.#now = end;
  }
}
