import { LIMITS } from '@tributary/proto';

const MOST = LIMITS.streamRecentIds;
/** Ids beyond those that count after which a log is begun anew: its cost is shared by as many. */
const SPARE = 256;
const MOST_IN_LOG = MOST + SPARE;
/** Digits of an id that are kept: 64 bits are enough to tell a thousand ids apart. */
const DIGITS = 16;
const LEAST_ROOM = 16;

/**
 * Ids in the order in which they came. It only grows: who saw less of it sees the same as before. Numbers in three arrays
 * and not texts in a map: a collector of garbage would look at each of them, of all keys, again and again.
 */
class IdLog {
  length = 0;
  #high = new Uint32Array(LEAST_ROOM);
  #low = new Uint32Array(LEAST_ROOM);
  /** Places by id, counted from 1, at the first free slot from that of the id on. */
  #slots = new Uint16Array(4 * LEAST_ROOM);

  /** The newest place of an id; -1 where it is not there. */
  placeOf(high: number, low: number): number {
    return (this.#slots[this.#slotOf(high, low)] ?? 0) - 1;
  }

  push(high: number, low: number): void {
    if (this.length === this.#high.length) this.#grow();
    this.#high[this.length] = high;
    this.#low[this.length] = low;
    this.length += 1;
    this.#slots[this.#slotOf(high, low)] = this.length;
  }

  /** Adds the ids of another log from place `from` up to `to`. */
  take(other: IdLog, from: number, to: number): void {
    for (let place = from; place < to; place += 1) this.push(other.#high[place] ?? 0, other.#low[place] ?? 0);
  }

  text(place: number): string {
    return digits(this.#high[place] ?? 0) + digits(this.#low[place] ?? 0);
  }

  /** Where an id stands, or would. */
  #slotOf(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    let slot = (high ^ low) & mask;
    for (;;) {
      const place = (this.#slots[slot] ?? 0) - 1;
      if (place < 0 || (this.#high[place] === high && this.#low[place] === low)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const [high, low, length] = [this.#high, this.#low, this.length];
    this.#high = grown(high);
    this.#low = grown(low);
    this.#slots = new Uint16Array(4 * this.#high.length);
    for (let place = 0; place < length; place += 1)
      this.#slots[this.#slotOf(high[place] ?? 0, low[place] ?? 0)] = place + 1;
  }
}

/** The newest ids of a key: a value that never changes, though those of one key share their memory. */
export class RecentIds {
  readonly #log: IdLog;
  /** Ids of the log that count. */
  readonly #count: number;

  private constructor(log: IdLog) {
    this.#log = log;
    this.#count = log.length;
  }

  /** Ids are texts of 16 hex digits at least, of which the first 16 count. */
  static of(ids: readonly string[]): RecentIds {
    const log = new IdLog();
    for (const id of ids.slice(-MOST)) log.push(half(id, 0), half(id, DIGITS / 2));
    return new RecentIds(log);
  }

  has(id: string): boolean {
    const place = this.#log.placeOf(half(id, 0), half(id, DIGITS / 2));
    return place >= Math.max(0, this.#count - MOST) && place < this.#count;
  }

  with(id: string): RecentIds {
    const [high, low] = [half(id, 0), half(id, DIGITS / 2)];
    let log = this.#log;
    if (log.length !== this.#count || log.length >= MOST_IN_LOG || log.placeOf(high, low) >= 0) {
      log = new IdLog();
      log.take(this.#log, Math.max(0, this.#count - MOST + 1), this.#count);
    }
    log.push(high, low);
    return new RecentIds(log);
  }

  /** As it is stored: {@link of} takes the ids of all pages. */
  toJSON(): { readonly pages: readonly (readonly string[])[] } {
    const first = Math.max(0, this.#count - MOST);
    return {
      pages: [Array.from({ length: this.#count - first }, (_, index) => this.#log.text(first + index))],
    };
  }
}

export const INITIAL_RECENT = RecentIds.of([]);

const grown = (numbers: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
  const more = new Uint32Array(2 * numbers.length);
  more.set(numbers);
  return more;
};

const digits = (number: number): string => number.toString(16).padStart(DIGITS / 2, '0');

/** Eight hex digits from a place on as a number. A part of the text would hold on to all of it. */
function half(id: string, from: number): number {
  let number = 0;
  for (let index = from; index < from + DIGITS / 2; index += 1)
    number = (number << 4) | nibble(id.charCodeAt(index));
  return number >>> 0;
}

const nibble = (code: number): number => (code > 0x39 ? (code & 0x0f) + 9 : code & 0x0f);
