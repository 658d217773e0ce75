/** Kinds of messages that leave the site: updates, and everything that is said around them. */
export type EgressKind = 'update' | 'control';

/** Bytes by kind; `transport` is what TLS, HTTP/2 and gRPC add to the payloads of messages. */
export type Egress = Readonly<Record<EgressKind | 'transport', bigint>>;

export const NO_EGRESS: Egress = Object.freeze({ update: 0n, control: 0n, transport: 0n });

/** What left for one job. */
export interface JobEgress extends Egress {
  /** Milliseconds since the epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** Updates that began to leave. */
  readonly updates: number;
}

/** What has left since the join. */
export interface EgressState {
  /** Everything, whatever it was for. */
  readonly total: Egress;
  /** Jobs that have not ended, by id: what says nothing of its job is shared equally by them. */
  readonly jobs: ReadonlyMap<string, JobEgress>;
}

export const EMPTY_EGRESS: EgressState = Object.freeze({ total: NO_EGRESS, jobs: new Map() });

/** Bytes that left, as the wire has them. */
export const sumOf = ({ update, control, transport }: Egress): bigint => update + control + transport;

/** A job whose share is counted from here on. */
export function beginJob(state: EgressState, jobId: string, at: number): EgressState {
  if (state.jobs.has(jobId)) return state;
  const begun = { ...NO_EGRESS, firstAt: at, lastAt: at, updates: 0 };
  return { ...state, jobs: new Map(state.jobs).set(jobId, begun) };
}

/** Of a message; `jobId` where it is known for which job. */
export function addMessage(
  state: EgressState,
  kind: EgressKind,
  bytes: number,
  at: number,
  jobId?: string,
): EgressState {
  const total = { ...state.total, [kind]: state.total[kind] + BigInt(bytes) };
  const only = jobId !== undefined && state.jobs.has(jobId) ? [jobId] : undefined;
  return { total, jobs: shared(state.jobs, kind, BigInt(bytes), at, only) };
}

/** Bytes on the wire beyond those of messages. */
export function addTransport(state: EgressState, bytes: bigint, at: number): EgressState {
  const total = { ...state.total, transport: state.total.transport + bytes };
  return { total, jobs: shared(state.jobs, 'transport', bytes, at) };
}

/** An update of a job begins to leave. */
export function addUpdate(state: EgressState, jobId: string): EgressState {
  const job = state.jobs.get(jobId);
  if (job === undefined) return state;
  return { ...state, jobs: new Map(state.jobs).set(jobId, { ...job, updates: job.updates + 1 }) };
}

/** Takes back bytes of updates that were counted, but died with the process before they left. */
export function takeBack(state: EgressState, bytes: bigint): EgressState {
  let rest = bytes < state.total.update ? bytes : state.total.update;
  const total = { ...state.total, update: state.total.update - rest };
  const jobs = new Map(state.jobs);
  for (const [jobId, job] of [...state.jobs].reverse()) {
    const part = rest < job.update ? rest : job.update;
    jobs.set(jobId, { ...job, update: job.update - part });
    rest -= part;
  }
  return { total, jobs };
}

/** Splits bytes equally among jobs; the first gets what does not divide. */
function shared(
  jobs: EgressState['jobs'],
  kind: keyof Egress,
  bytes: bigint,
  at: number,
  only: readonly string[] = [...jobs.keys()],
): EgressState['jobs'] {
  if (only.length === 0 || bytes === 0n) return jobs;
  const next = new Map(jobs);
  const part = bytes / BigInt(only.length);
  for (const [index, jobId] of only.entries()) {
    const job = next.get(jobId);
    const own = index === 0 ? bytes - part * BigInt(only.length - 1) : part;
    if (job !== undefined) next.set(jobId, { ...job, [kind]: job[kind] + own, lastAt: at });
  }
  return next;
}
