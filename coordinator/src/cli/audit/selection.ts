import {
  canonicalText,
  isJsonObject,
  type EntryOutline,
  type ExportHeader,
  type JsonObject,
  type JsonValue,
} from '@tributary/proto';

type Part = NonNullable<ExportHeader['part']>;

/** Which entries somebody wants; all of them where nothing is said. */
export interface EntryWish extends Part {
  readonly type?: readonly string[];
  readonly site?: string;
  /** RFC 3339, UTC; a prefix such as 2026-01-31 will do. */
  readonly since?: string;
  readonly until?: string;
}

/** What every part has besides: without it nobody could judge the signatures of the rest. */
const SUPPORT: ReadonlySet<string> = new Set([
  'federation.created',
  'root.rotated',
  'roster.published',
  'agent.enrolled',
]);

/** Which entries are about a job, told while they go by in order: by the name of the job, also where it was used again. */
class JobTrail {
  readonly #name: string;
  readonly #jobs = new Set<JsonValue | undefined>();
  /** What the jobs made. */
  readonly #versions = new Set<string>();

  constructor(name: string) {
    this.#name = name;
  }

  concerns({ type, body }: EntryOutline): boolean {
    const jobId = body['jobId'];
    if (type === 'job.submitted' && body['name'] === this.#name) this.#jobs.add(jobId);
    const own = this.#jobs.has(jobId);
    if (own && type === 'model.registered') this.#versions.add(versionOf(body, 'version'));
    if (type === 'rollout.applied') return this.#versions.has(versionOf(body, 'version'));
    return own || (type === 'rollout.undone' && this.#versions.has(versionOf(body, 'previous')));
  }
}

/** Model and version of what is registered or rolled out, or taken back. */
const versionOf = (body: JsonObject, field: 'version' | 'previous'): string =>
  canonicalText([body['model'] ?? '', body[field] ?? 0]);

/** Tells while entries go by in order which of them are wanted. */
export class Selection {
  readonly #wish: EntryWish;
  readonly #job: JobTrail | undefined;

  constructor(wish: EntryWish) {
    this.#wish = wish;
    this.#job = wish.job === undefined ? undefined : new JobTrail(wish.job);
  }

  takes(entry: EntryOutline): boolean {
    const { type = [], site } = this.#wish;
    // A trail is followed by every entry, also by those that something else leaves out.
    const ofJob = this.#job?.concerns(entry) ?? true;
    return (
      ofJob &&
      this.#isWithin(entry) &&
      (type.length === 0 || type.includes(entry.type)) &&
      (site === undefined || names(entry.body, site))
    );
  }

  #isWithin({ seq, time }: EntryOutline): boolean {
    const { from = 0, to = Number.POSITIVE_INFINITY, since = '', until } = this.#wish;
    if (seq < from || seq >= to || time < since) return false;
    return until === undefined || time.slice(0, until.length) <= until;
  }
}

/** Which entries a part of the ledger has: those that are wanted, and before its end what they are judged by. */
export class PartSelection {
  readonly #end: number;
  readonly #selection: Selection;

  constructor(part: Part) {
    this.#end = part.to ?? Number.POSITIVE_INFINITY;
    this.#selection = new Selection(part);
  }

  takes(entry: EntryOutline): boolean {
    return this.#selection.takes(entry) || (SUPPORT.has(entry.type) && entry.seq < this.#end);
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
