import {
  canonicalText,
  type EntryOutline,
  type ExportHeader,
  type JsonObject,
  type JsonValue,
} from '@tributary/proto';

type Part = NonNullable<ExportHeader['part']>;

/** What every part has besides: without it nobody could judge the signatures of the rest. */
const SUPPORT: ReadonlySet<string> = new Set([
  'federation.created',
  'root.rotated',
  'roster.published',
  'agent.enrolled',
]);

/** Which entries are about a job, told while they go by in order: by the name of the job, also where it was used again. */
export class JobTrail {
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

/** Which entries a part of the ledger has, told while they go by in order. */
export class Selection {
  readonly #part: Part;
  readonly #job: JobTrail | undefined;

  constructor(part: Part) {
    this.#part = part;
    this.#job = part.job === undefined ? undefined : new JobTrail(part.job);
  }

  takes(outline: EntryOutline): boolean {
    const { from = 0, to = Number.MAX_SAFE_INTEGER } = this.#part;
    const chosen = this.#job?.concerns(outline) ?? true;
    if (SUPPORT.has(outline.type) && outline.seq < to) return true;
    return chosen && outline.seq >= from && outline.seq < to;
  }
}
