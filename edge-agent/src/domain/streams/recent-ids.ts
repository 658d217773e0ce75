import { LIMITS } from '@tributary/proto';

/** The newest ids of a key: pages of them, so that adding one copies a page, and the oldest page is forgotten whole. */
export interface RecentIds {
  readonly pages: readonly (readonly string[])[];
}

const PAGE = 64;
const MOST_PAGES = LIMITS.streamRecentIds / PAGE;

export const INITIAL_RECENT: RecentIds = { pages: [] };

/** Lookups of full pages, which never change. */
const sets = new WeakMap<readonly string[], ReadonlySet<string>>();

/** 64 bits are enough to tell a thousand ids apart. */
const shortened = (id: string): string => id.slice(0, 16);

export function isRecent({ pages }: RecentIds, full: string): boolean {
  const id = shortened(full);
  return pages.some((page) => (page.length < PAGE ? page.includes(id) : setOf(page).has(id)));
}

export function withRecent({ pages }: RecentIds, full: string): RecentIds {
  const id = shortened(full);
  const last = pages.at(-1);
  if (last !== undefined && last.length < PAGE) return { pages: [...pages.slice(0, -1), [...last, id]] };
  return { pages: [...pages, [id]].slice(-MOST_PAGES) };
}

function setOf(page: readonly string[]): ReadonlySet<string> {
  let set = sets.get(page);
  if (set === undefined) sets.set(page, (set = new Set(page)));
  return set;
}
