import assert from 'node:assert/strict';

import { TributaryError, type FederatedJobInput, type LedgerEntry } from '@tributary/proto';
import type { NextStep } from '@tributary/coordinator/internal/domain/next-step.js';
import { decodeSnapshot, encodeSnapshot } from '@tributary/coordinator/internal/domain/snapshot.js';
import { gathersUpdates } from '@tributary/coordinator/internal/domain/rounds/aggregation-mode.js';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';
import fc from 'fast-check';

import { digestNamed, FederationWorld, idOf, type Wish } from './federation-world.js';
import { RoundModel, type Present, type RoundBounds } from './round-model.js';

export const SITES: readonly string[] = ['a', 'b', 'c', 'd', 'e', 'f'];
const JOB = 'loans';

/** What may happen to a job's rounds, in any order and any number of times. */
export type Happening =
  | {
      readonly kind: 'report';
      readonly site: string;
      /** 0 mostly: a repeat is then a duplicate; 1 has other content, 2 another upload id. */
      readonly variant: number;
      /** Which stage it is for, counted from the open one: an agent may be behind or ahead. */
      readonly offset: number;
    }
  | Work
  | AtSite<'rejoin' | 'connect' | 'leave'>
  /** Whoever the coordinator does not know, or has not selected, reports. */
  | AtSite<'stranger'>
  /** Something that was said before is said again: a duplicate, or a message that was under way for long. */
  | { readonly kind: 'echo'; readonly which: number }
  | { readonly kind: 'tick'; readonly ms: number }
  | { readonly kind: 'restart' };

/** What somebody asks for; the runner may also decide on a step now and carry it out after whatever comes between. */
type Work =
  | AtSite<'decline' | 'refuse' | 'wait' | 'revoke'>
  | Plain<'step' | 'postpone' | 'stale-step' | 'suspend' | 'resume' | 'cancel'>;

type Plain<K extends string> = K extends string ? { readonly kind: K } : never;
type AtSite<K extends string> = K extends string ? { readonly kind: K; readonly site: string } : never;

const site = fc.constantFrom(...SITES);
const only = <K extends string>(...kinds: K[]): fc.Arbitrary<Plain<K>> =>
  fc.record({ kind: fc.constantFrom(...kinds) }) as unknown as fc.Arbitrary<Plain<K>>;
const atSite = <K extends string>(...kinds: K[]): fc.Arbitrary<AtSite<K>> =>
  fc.record({ kind: fc.constantFrom(...kinds), site }) as unknown as fc.Arbitrary<AtSite<K>>;

const happening: fc.Arbitrary<Happening> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('report' as const),
      site,
      variant: fc.constantFrom(0, 0, 0, 0, 1, 2),
      offset: fc.constantFrom(0, 0, 0, 0, -1, 1),
    }),
  },
  {
    weight: 3,
    arbitrary: atSite('decline', 'refuse', 'wait', 'revoke', 'rejoin', 'connect', 'leave'),
  },
  { weight: 1, arbitrary: atSite('stranger') },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('echo' as const), which: fc.nat(1_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('tick' as const), ms: fc.nat(40_000) }) },
  { weight: 6, arbitrary: only('step') },
  { weight: 2, arbitrary: only('postpone', 'stale-step') },
  { weight: 1, arbitrary: only('suspend', 'resume', 'resume', 'resume') },
  { weight: 2, arbitrary: only('restart') },
);

/** A job now and then is cancelled. */
export const happenings: fc.Arbitrary<readonly Happening[]> = fc
  .tuple(fc.array(happening, { maxLength: 120, size: 'max' }), fc.array(only('cancel'), { maxLength: 1 }))
  .map(([before, cancelled]) => [...before, ...cancelled]);

const TYPED = new Set([
  'UPDATE_WRONG_ROUND',
  'UPDATE_DUPLICATE',
  'UPDATE_LATE',
  'UPLOAD_ID_REUSED',
  'NOT_IN_COHORT',
  'AGENT_REVOKED',
  'INVALID_ARGUMENT',
  'CONFLICT',
  'ROUND_UNDERSUBSCRIBED',
  'SECAGG_IMPOSSIBLE',
]);

/** A federation with one job, a book-keeper beside it, and what was said so far. */
export class HappeningWorld {
  readonly world = FederationWorld.withSites(...SITES);
  readonly model: RoundModel;
  /** Everything that was said to the machine, taken or refused. */
  readonly #said: { readonly wish: Wish; readonly actor: string }[] = [];
  #held: NextStep | undefined;
  #joined = 0;

  constructor(spec: Partial<FederatedJobInput['spec']>, bounds: RoundBounds) {
    this.model = new RoundModel(bounds);
    this.world.submit(JOB, spec);
  }

  get job() {
    return this.world.job(JOB);
  }

  /** The machine is asked; a refusal is a typed one that may be told, and leaves the state as it was. */
  say(wish: Wish, actor = 'context/root'): readonly LedgerEntry[] {
    this.#said.push({ wish, actor });
    const entries = this.#ask(wish, actor);
    // Its answer may have been lost: the same again finds that it was done, and is no error.
    if (entries.length > 0) assert.deepEqual(this.world.run(wish, actor), [], `${wish.kind} had two effects`);
    return entries;
  }

  #ask(wish: Wish, actor: string): readonly LedgerEntry[] {
    const before = this.world.state;
    const present = this.#present();
    try {
      const entries = this.world.run(wish, actor);
      this.model.learn(entries, present);
      return entries;
    } catch (error) {
      if (!(error instanceof TributaryError)) throw error;
      assert.ok(TYPED.has(error.code), String(error));
      assert.equal(this.world.state, before);
      return [];
    }
  }

  /** Carries a step out, as the runner does. */
  perform(step: NextStep): void {
    if (step.kind === 'wait') this.world.now = Math.max(this.world.now, step.untilMs ?? this.world.now);
    else this.say(this.world.wishOf(step), 'coordinator');
  }

  happen(one: Happening): void {
    switch (one.kind) {
      case 'report':
        return this.#report(one.site, one.variant, one.offset);
      case 'stranger':
        return this.#strange(one.site);
      case 'echo': {
        const echoed = this.#said[one.which % Math.max(1, this.#said.length)];
        if (echoed !== undefined) this.#ask(echoed.wish, echoed.actor);
        return;
      }
      case 'tick':
        this.world.now += one.ms;
        return;
      case 'restart':
        return this.restart();
      case 'connect':
        this.world.connected.add(one.site);
        return;
      case 'leave':
        this.world.connected.delete(one.site);
        return;
      case 'rejoin':
        return this.#rejoin(one.site);
      default:
        return this.#work(one);
    }
  }

  /** What a crash leaves is the ledger, and perhaps a snapshot: both give the same state. */
  restart(): void {
    const replayed = this.world.replayed();
    assert.deepEqual(replayed, this.world.state);
    assert.deepEqual(decodeSnapshot(encodeSnapshot(this.world.state)), this.world.state);
    this.world.state = replayed;
    this.#held = undefined;
  }

  #work(one: Work): void {
    switch (one.kind) {
      case 'step': {
        const step = this.world.next();
        if (step.kind !== 'wait') this.perform(step);
        return;
      }
      case 'postpone':
        this.#held = this.world.next();
        return;
      case 'stale-step':
        if (this.#held !== undefined && this.#held.kind !== 'wait') this.perform(this.#held);
        return;
      case 'suspend':
      case 'cancel':
        this.say({ kind: `${one.kind}-job`, name: JOB, reason: '' });
        return;
      case 'resume':
        this.say({ kind: 'resume-job', name: JOB });
        return;
      case 'revoke':
        this.say({ kind: 'revoke-site', site: one.site, reason: '' });
        return;
      default:
        this.#leave(one.kind, one.site);
    }
  }

  #leave(kind: 'decline' | 'refuse' | 'wait', name: string): void {
    const round = this.job.round;
    if (round === undefined) return;
    const agentId = this.#agentOf(name);
    const of = { ...idsOf(round), agentId };
    if (kind === 'decline') this.say({ kind: 'decline-round', ...of, code: 'TRAINING_FAILED', detail: '' });
    else if (kind === 'wait')
      this.say({ kind: 'wait-round', ...of, reason: 'Schedule', detail: '', waitMs: 60_000 });
    else {
      const uploadId = idOf('upl', `refused ${name}`);
      this.say({ kind: 'refuse-update', ...of, uploadId, code: 'UPDATE_NOT_FINITE', detail: '' });
    }
  }

  #report(name: string, variant: number, offset: number): void {
    const round = this.job.round;
    const stage = round?.stages[round.stage + offset];
    if (round === undefined || stage === undefined) return;
    const agentId = this.#agentOf(name);
    const content = `${JSON.stringify(idsOf(round))} ${stage.name} ${name}`;
    const digest = digestNamed(`${content} ${String(variant % 2)}`);
    const uploadId = idOf('upl', `${content} ${String(variant >> 1)}`);
    const actor = `agent/${agentId}`;
    if (gathersUpdates(stage.name))
      this.say(this.world.update(JOB, name, { agentId, sealDigest: digest, uploadId }), actor);
    else this.say({ kind: 'stage-message', ...idsOf(round), agentId, stage: stage.name, digest }, actor);
  }

  /** An agent that is in no cohort, and one of the cohort under an attempt that does not exist. */
  #strange(name: string): void {
    if (this.job.round === undefined) return;
    const unknown = idOf('agt', 'nobody');
    this.say(this.world.update(JOB, name, { agentId: unknown, uploadId: idOf('upl', 'nobody') }));
    const attempt = this.job.round.attempt + 1;
    this.say(this.world.update(JOB, name, { attempt, uploadId: idOf('upl', `ahead ${name}`) }));
  }

  #rejoin(name: string): void {
    const known = this.world.state.sites.get(name)?.agentId;
    if (known !== undefined && this.world.state.agents.get(known)?.revokedAt === undefined) return;
    this.#joined += 1;
    this.world.join(name, {}, `${name} ${String(this.#joined)}`);
  }

  #agentOf(name: string): string {
    return this.world.state.sites.get(name)?.agentId ?? idOf('agt', name);
  }

  /** Sites that may be in a cohort now: connected, with an agent that is not revoked. */
  #present(): Present {
    const { sites, agents } = this.world.state;
    const there = [...this.world.connected].flatMap((name): [string, string][] => {
      const agentId = sites.get(name)?.agentId;
      const agent = agentId === undefined ? undefined : agents.get(agentId);
      return agent === undefined || agent.revokedAt !== undefined ? [] : [[name, agent.agentId]];
    });
    return new Map(there);
  }
}

function idsOf({ jobId, round, attempt }: RoundState) {
  return { jobId, round, attempt };
}
