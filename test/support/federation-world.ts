import {
  canonicalText,
  decodeEntry,
  digestOf,
  encodeBase64,
  encodeEntry,
  ENTRY_VERSION,
  parseFederatedJob,
  signDocument,
  signingKeyFromSeed,
  type Digest,
  type FederatedJobInput,
  type LedgerEntry,
  type NewEntry,
} from '@tributary/proto';
import type { AcceptUpdate, Command, SubmitJob } from '@tributary/coordinator/internal/domain/command.js';
import { decide } from '@tributary/coordinator/internal/domain/decide.js';
import { evolve } from '@tributary/coordinator/internal/domain/evolve.js';
import {
  EMPTY_FEDERATION,
  type FederationState,
  type JobBase,
  type JobState,
} from '@tributary/coordinator/internal/domain/federation-state.js';
import { nextStep, type NextStep } from '@tributary/coordinator/internal/domain/next-step.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';

import { jobDocument } from './job-document.js';

type Spec = FederatedJobInput['spec'];
/** A command without what the world fills in: time and actor. */
export type Wish = Command extends infer C ? (C extends Command ? Omit<C, 'now' | 'actor'> : never) : never;

const author = signingKeyFromSeed(new Uint8Array(32).fill(7));

/** An id that follows from a name: readable in failures, and of the right form. */
export function idOf(prefix: string, name: string): string {
  return `${prefix}-${digestOf(new TextEncoder().encode(name)).slice(7, 39)}`;
}

export function digestNamed(name: string): Digest {
  return digestOf(new TextEncoder().encode(name));
}

/** Standard base64 of a 32-byte public value that follows from a name. */
export function keyNamed(name: string): string {
  return encodeBase64(Buffer.from(digestNamed(name).slice(7), 'hex'));
}

/** `apply` of a job, signed by the test's author. */
export function submission(
  name: string,
  spec: Partial<Spec> = {},
  key = author,
): Omit<SubmitJob, 'now' | 'actor'> {
  const base = jobDocument();
  const document = parseFederatedJob({
    ...base,
    metadata: { name },
    spec: { ...base.spec, rounds: 2, ...spec },
  });
  return {
    kind: 'submit-job',
    jobId: idOf('job', name),
    document: canonicalText(document),
    authorKey: encodeBase64(key.publicKey),
    signature: encodeBase64(signDocument(document, key)),
  };
}

/** A federation in memory without any of its surroundings: commands are decided and folded, entries are kept. */
export class FederationWorld {
  /** Milliseconds since the epoch. */
  now = Date.parse('2026-01-01T00:00:00.000Z');
  /** When the process began that asks for the next step. */
  since = 0;
  state: FederationState = EMPTY_FEDERATION;
  readonly entries: LedgerEntry[] = [];
  connected = new Set<string>();

  /** A world with a federation and one admin context. */
  static create(): FederationWorld {
    const world = new FederationWorld();
    world.run({
      kind: 'create-federation',
      federationId: idOf('fed', 'test'),
      name: 'test',
      logKey: keyNamed('log'),
      modelKey: keyNamed('model'),
      caDigest: digestNamed('ca'),
    });
    world.run({ kind: 'create-context', context: 'root', role: 'admin', keyDigest: digestNamed('root') });
    return world;
  }

  /** A world in which these sites have joined, are approved and connected. */
  static withSites(...sites: string[]): FederationWorld {
    const world = FederationWorld.create();
    for (const site of sites) world.join(site);
    return world;
  }

  /** Decides and folds; the entries as they were recorded. */
  run(wish: Wish, actor = 'context/root'): readonly LedgerEntry[] {
    return this.record(decide(this.state, { ...wish, now: this.now, actor }));
  }

  /** Folds entries that were not decided here. */
  record(decided: readonly NewEntry[]): readonly LedgerEntry[] {
    const time = new Date(this.now).toISOString();
    return decided.map((entry) => {
      // Through bytes, as the ledger does it: what does not match its schema fails here.
      const written = decodeEntry(encodeEntry({ ...entry, v: ENTRY_VERSION, seq: this.state.seq, time }));
      this.entries.push(written);
      this.state = evolve(this.state, written);
      return written;
    });
  }

  invite(
    site: string,
    options: { labels?: Record<string, string>; approve?: boolean; token?: string } = {},
  ): string {
    const tokenId = idOf('tok', options.token ?? site);
    const { labels = {}, approve = true } = options;
    this.run({
      kind: 'create-token',
      tokenId,
      site,
      labels,
      key: keyNamed(`token ${site}`),
      ttlMs: 0,
      approve,
    });
    return tokenId;
  }

  /** Invites, enrols, approves and connects a site; gives the agent's id. */
  join(site: string, labels: Record<string, string> = {}, agent = site): string {
    const tokenId = this.invite(site, { labels, token: agent });
    const agentId = idOf('agt', agent);
    const keyDigest = digestNamed(`tls ${agent}`);
    this.run(
      { kind: 'enrol-agent', tokenId, identityKey: keyNamed(`identity ${agent}`), keyDigest, agentId },
      `agent/${agentId}`,
    );
    this.connected.add(site);
    return agentId;
  }

  submit(name: string, spec: Partial<Spec> = {}): JobState {
    this.run(submission(name, spec));
    return this.job(name);
  }

  job(name: string): JobState {
    const job = this.state.jobs.get(idOf('job', name));
    if (job === undefined) throw new Error(`no job ${name}`);
    return job;
  }

  round(name: string): RoundState {
    const { round } = this.job(name);
    if (round === undefined) throw new Error(`no round of ${name}`);
    return round;
  }

  /** What the runner would do now. */
  next(): NextStep {
    const sites = { connectedSites: this.connected, secureSites: this.connected };
    return nextStep(this.state, { now: this.now, since: this.since, ...sites });
  }

  /** Does what the runner does for a step; a wait passes the time until its end, where it has one. */
  perform(step: NextStep): readonly LedgerEntry[] {
    if (step.kind === 'wait') {
      this.now = Math.max(this.now, step.untilMs ?? this.now);
      return [];
    }
    return this.run(this.wishOf(step), 'coordinator');
  }

  /** The command with which the runner carries a step out. */
  wishOf(step: Exclude<NextStep, { kind: 'wait' }>): Wish {
    switch (step.kind) {
      case 'start-job': {
        const modelDigest = this.#base(step.jobId)?.modelDigest ?? digestNamed('initial model');
        return { ...step, layoutDigest: digestNamed('layout'), modelDigest, parameters: 10 };
      }
      case 'open-round':
        return { ...step, connectedSites: [...this.connected], ...drawn(step) };
      case 'commit-round':
        return { ...step, ...this.#resultOf(step.jobId, step.round) };
      case 'register-model': {
        const weightsDigest = this.#base(step.jobId)?.modelDigest ?? digestNamed('none');
        const signature = encodeBase64(new Uint8Array(64));
        return { ...step, manifestDigest: digestNamed('manifest'), weightsDigest, signature };
      }
      default:
        return step;
    }
  }

  #resultOf(jobId: string, number: number) {
    const round = this.state.jobs.get(jobId)?.round;
    const folded = Array.from(round?.updates.values() ?? [], (one) => one.uploadId);
    if (round?.kind === 'Evaluation')
      return { modelDigest: round.baseDigest, folded, metrics: { logLoss: '0.125' } };
    const modelDigest = digestNamed(`model ${jobId} ${String(number)}`);
    return { modelDigest, folded, metrics: { loss: '0.5', logLoss: '0.25' } };
  }

  #base(jobId: string): JobBase | undefined {
    return this.state.jobs.get(jobId)?.base;
  }

  /** Performs steps until one of that kind is next; fails where it never comes. */
  until(kind: NextStep['kind'], most = 50): NextStep {
    for (let count = 0; count < most; count += 1) {
      const step = this.next();
      if (step.kind === kind) return step;
      this.perform(step);
    }
    throw new Error(`no ${kind} within ${String(most)} steps; next is ${JSON.stringify(this.next())}`);
  }

  /** An accepted update of a site for the newest round of a job. */
  accept(job: string, site: string, change: Partial<AcceptUpdate> = {}): readonly LedgerEntry[] {
    return this.run(this.update(job, site, change), `agent/${idOf('agt', site)}`);
  }

  update(job: string, site: string, change: Partial<AcceptUpdate> = {}): Omit<AcceptUpdate, 'now' | 'actor'> {
    const { jobId, round, attempt } = this.round(job);
    const upload = `${jobId} ${String(round)} ${String(attempt)} ${site}`;
    return {
      kind: 'accept-update',
      jobId,
      round,
      attempt,
      agentId: idOf('agt', site),
      uploadId: idOf('upl', upload),
      headerDigest: digestNamed(`header ${upload}`),
      sealDigest: digestNamed(`seal ${upload}`),
      bytes: 1_000,
      ...change,
    };
  }

  /** The state that folding the recorded entries gives. */
  replayed(): FederationState {
    return this.entries.reduce(evolve, EMPTY_FEDERATION);
  }
}

function drawn({ jobId, round, attempt }: { jobId: string; round: number; attempt: number }): {
  selectionSeed: string;
  roundKey: string;
} {
  const name = `${jobId} ${String(round)} ${String(attempt)}`;
  return { selectionSeed: keyNamed(`seed ${name}`), roundKey: keyNamed(`round ${name}`) };
}
