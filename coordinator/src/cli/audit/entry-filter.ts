import { isJsonObject, type EntryOutline, type JsonValue } from '@tributary/proto';

import { JobTrail } from './selection.js';

/** Which entries somebody wants to see; all of them where nothing is said. */
export interface EntryWish {
  readonly type: readonly string[];
  readonly job?: string;
  readonly site?: string;
  /** RFC 3339, UTC; a prefix such as 2026-01-31 will do. */
  readonly since?: string;
  readonly until?: string;
}

/** Tells while entries go by in order which of them are wanted. */
export class EntryFilter {
  readonly #wish: EntryWish;
  readonly #job: JobTrail | undefined;

  constructor(wish: EntryWish) {
    this.#wish = wish;
    this.#job = wish.job === undefined ? undefined : new JobTrail(wish.job);
  }

  takes(entry: EntryOutline): boolean {
    const { type, site, since = '', until } = this.#wish;
    const ofJob = this.#job?.concerns(entry) ?? true;
    return (
      ofJob &&
      (type.length === 0 || type.includes(entry.type)) &&
      (site === undefined || names(entry.body, site)) &&
      entry.time >= since &&
      (until === undefined || entry.time.slice(0, until.length) <= until)
    );
  }
}

/** Whether a site is named anywhere in the body: alone, in a cohort, or among those who reported or dropped out. */
function names(value: JsonValue | undefined, site: string): boolean {
  if (Array.isArray(value)) return value.some((item) => item === site || names(item as JsonValue, site));
  return (
    isJsonObject(value) &&
    (value['site'] === site ||
      Object.values(value).some((inner) => Array.isArray(inner) && names(inner as JsonValue, site)))
  );
}
