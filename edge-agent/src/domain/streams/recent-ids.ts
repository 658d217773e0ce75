import { LIMITS } from '@tributary/proto';

const MOST = LIMITS.streamRecentIds;
/** Ids beyond those that count after which a log is begun anew: its cost is shared by as many. */
const SPARE = 256;

/** 64 bits are enough to tell a thousand ids apart. */
const shortened = (id: string): string => id.slice(0, 16);

/** Ids in the order in which they came. It only grows: who saw less of it sees the same as before. */
interface IdLog {
  readonly ids: string[];
  readonly places: Map<string, number>;
}

/** The newest ids of a key: a value that never changes, though those of one key share their memory. */
export class RecentIds {
  readonly #log: IdLog;
  /** Ids of the log that count. */
  readonly #count: number;

  private constructor(log: IdLog, count: number) {
    this.#log = log;
    this.#count = count;
  }

  static of(ids: readonly string[]): RecentIds {
    const kept = ids.slice(-MOST);
    return new RecentIds({ ids: kept, places: new Map(kept.map((id, place) => [id, place])) }, kept.length);
  }

  has(id: string): boolean {
    const place = this.#log.places.get(shortened(id));
    return place !== undefined && place < this.#count && place >= this.#count - MOST;
  }

  with(full: string): RecentIds {
    const id = shortened(full);
    const { ids, places } = this.#log;
    const grows = ids.length === this.#count && ids.length < MOST + SPARE && !places.has(id);
    if (!grows) return RecentIds.of([...ids.slice(0, this.#count), id]);
    places.set(id, ids.length);
    ids.push(id);
    return new RecentIds(this.#log, ids.length);
  }

  /** As it is stored: {@link of} takes the ids of all pages. */
  toJSON(): { readonly pages: readonly (readonly string[])[] } {
    return { pages: [this.#log.ids.slice(Math.max(0, this.#count - MOST), this.#count)] };
  }
}

export const INITIAL_RECENT = RecentIds.of([]);
