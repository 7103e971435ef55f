// What outlives a reload: of this tab, and ends with it; or in `localStorage`.

export class Kept {
  constructor(key, storage = "sessionStorage") {
    this.key = key;
    this.storage = storage;
  }

  /** What was kept; an empty list if nothing was, or can be. */
  load() {
    try {
      return JSON.parse(window[this.storage].getItem(this.key)) ?? [];
    } catch {
      // Storage may be forbidden, or hold what another program wrote.
      return [];
    }
  }

  /** Keep a list, in place of the last one. */
  save(list) {
    try {
      if (list.length) window[this.storage].setItem(this.key, JSON.stringify(list));
      else window[this.storage].removeItem(this.key);
    } catch {
      // Storage may be forbidden or full. The page works without; what it has not sent
      // is lost when it is left.
    }
  }
}
