import assert from 'node:assert/strict';

import type { ErrorCode } from '@tributary/proto';
import {
  roundKey,
  supersedes,
  type RoundKey,
  type RoundOrder,
} from '@tributary/edge-agent/internal/domain/round-key.js';
import { step } from '@tributary/edge-agent/internal/domain/session.js';
import {
  INITIAL_SESSION,
  type OrderAnswer,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '@tributary/edge-agent/internal/domain/session-state.js';

/** What happens to a site; `which` picks among what is under way, and nothing happens where nothing is. */
export type SiteHappening =
  | { readonly kind: 'order'; readonly orderId: string }
  | {
      readonly kind: 'review';
      readonly which: number;
      readonly order: RoundOrder;
      readonly verdict: 'Allowed' | 'Settled' | 'Refused';
    }
  | { readonly kind: 'trained' | 'untrained'; readonly which: number }
  | { readonly kind: 'uploaded'; readonly which: number }
  | { readonly kind: 'upload-failed'; readonly which: number; readonly code: ErrorCode }
  | { readonly kind: 'retry'; readonly which: number }
  | { readonly kind: 'maskable' | 'secure-failed'; readonly order: RoundOrder }
  | { readonly kind: 'link'; readonly to: 'Down' | 'AwaitingApproval' | 'Ready' }
  | { readonly kind: 'crash' | 'stop' }
  /** Comes although nobody asked for it. */
  | { readonly kind: 'stray'; readonly event: SessionEvent };

/** Phases in which the update of a round is in the outbox. */
const HOLDING: ReadonlySet<string> = new Set(['Held', 'Uploading', 'Delivered', 'Refused']);

/**
 * A site around the session machine: it carries out effects in any order and at any time, keeps an outbox that outlives
 * crashes, and judges from both whether something is lost, done twice, or said differently.
 */
export class SessionSite {
  state: SessionState = INITIAL_SESSION;
  /** What is on the disk. */
  readonly outbox = new Map<RoundKey, { readonly order: RoundOrder; readonly uploadId: string }>();
  #orders = new Map<RoundKey, RoundOrder>();
  #answers = new Map<string, OrderAnswer>();
  /** Rounds that the coordinator has settled, or that are of no use any more. */
  readonly #closed: RoundOrder[] = [];
  readonly #given = new Set<RoundKey>();
  /** Secure rounds of which it is known who masks. */
  readonly #maskable = new Set<RoundKey>();
  #reviews: string[] = [];
  #trainings: { readonly key: RoundKey; stopped: boolean }[] = [];
  #uploads: RoundKey[] = [];
  #retries: RoundKey[] = [];
  #made = 0;

  happen(one: SiteHappening): void {
    switch (one.kind) {
      case 'order':
        return this.#feed({ type: 'OrderArrived', orderId: one.orderId });
      case 'review':
        return this.#review(one.which, one.order, one.verdict);
      case 'link':
        return this.#link(one.to);
      case 'crash':
        return this.#crash();
      case 'stop':
        return this.#feed({ type: 'Stop' });
      case 'stray':
        return this.#stray(one.event);
      case 'maskable':
        this.#maskable.add(roundKey(one.order));
        return this.#feed({ type: 'Maskable', key: roundKey(one.order) });
      case 'secure-failed':
        return this.#leave(one.order);
      default:
        return this.#work(one);
    }
  }

  /** Everything that is under way comes to a good end, and every round is settled: nothing may be left. */
  finish(orders: readonly RoundOrder[], crashes: boolean): void {
    if (crashes || this.state.stopping) this.#crash();
    this.#link('Ready');
    const open = orders.filter((order) => !this.#isClosed(order));
    const newest = open.filter((order) => !open.some((other) => supersedes(other, order)));
    for (const [index, order] of newest.entries()) this.#order(`last-${String(index)}`, order, 'Allowed');
    for (const order of newest) this.happen({ kind: 'maskable', order });
    for (
      let turns = 0;
      this.#trainings.length + this.#uploads.length + this.#retries.length > 0;
      turns += 1
    ) {
      assert.ok(turns < 100, 'the site does not come to rest');
      this.happen({ kind: 'trained', which: 0 });
      this.happen({ kind: 'uploaded', which: 0 });
      this.happen({ kind: 'retry', which: 0 });
    }
    for (const order of newest) {
      const { name } = this.#phase(roundKey(order)) ?? { name: 'none' };
      // What failed or was refused in this process stays so.
      assert.ok(name === 'Delivered' || (!crashes && ['Failed', 'Refused'].includes(name)), name);
    }
    // Whoever connects is told how the last round of each job ended.
    const last = orders.filter((order) => !orders.some((other) => supersedes(other, order)));
    for (const [index, order] of last.entries()) this.#order(`end-${String(index)}`, order, 'Settled');
    assert.deepEqual(this.state.rounds, []);
    assert.deepEqual([...this.outbox.keys()], [], 'left in the outbox');
  }

  #order(orderId: string, order: RoundOrder, verdict: 'Allowed' | 'Settled'): void {
    this.happen({ kind: 'order', orderId });
    this.#review(this.#reviews.indexOf(orderId), order, verdict);
  }

  #review(which: number, order: RoundOrder, verdict: 'Allowed' | 'Settled' | 'Refused'): void {
    const orderId = takeFrom(this.#reviews, which);
    if (orderId === undefined) return;
    const isAwaited = this.state.verifying.includes(orderId);
    if (verdict === 'Allowed') {
      this.#orders.set(roundKey(order), order);
      if (isAwaited) this.#given.add(roundKey(order));
      return this.#feed({ type: 'RoundAllowed', orderId, order });
    }
    if (verdict === 'Settled') {
      if (isAwaited) this.#closed.push(order);
      return this.#feed({ type: 'RoundSettled', orderId, round: order });
    }
    if (isAwaited) this.#given.delete(roundKey(order));
    return this.#feed({ type: 'OrderRefused', orderId, code: 'POLICY_REFUSED', detail: '', round: order });
  }

  #link(to: 'Down' | 'AwaitingApproval' | 'Ready'): void {
    this.#feed(to === 'Down' ? { type: 'LinkDown' } : { type: 'LinkUp', approved: to === 'Ready' });
  }

  /** SIGKILL: what is left is the outbox. */
  #crash(): void {
    this.state = INITIAL_SESSION;
    [this.#reviews, this.#trainings, this.#uploads, this.#retries] = [[], [], [], []];
    this.#answers = new Map();
    this.#given.clear();
    this.#maskable.clear();
    const held = [...this.outbox.values()].map(({ order, uploadId }) => ({ ...order, uploadId }));
    this.#feed({ type: 'Recovered', held });
  }

  /** Late words about work that ended long ago, never about work that goes on. */
  #stray(event: SessionEvent): void {
    const key = 'key' in event ? event.key : undefined;
    const goesOn = this.#trainings.some((training) => training.key === key);
    const isAwaited = 'orderId' in event && this.state.verifying.includes(event.orderId);
    if (!isAwaited && !goesOn && (key === undefined || !this.#uploads.includes(key))) this.#feed(event);
  }

  #leave(order: RoundOrder): void {
    if (!order.secure) return;
    this.#feed({ type: 'SecureFailed', key: roundKey(order), code: 'SECAGG_MESSAGE_INVALID', detail: '' });
  }

  #work(one: Extract<SiteHappening, { readonly which: number }>): void {
    switch (one.kind) {
      case 'trained':
      case 'untrained':
        return this.#endTraining(one.which, one.kind === 'trained');
      case 'uploaded':
      case 'upload-failed': {
        const key = takeFrom(this.#uploads, one.which);
        if (key === undefined) return;
        if (one.kind === 'uploaded') return this.#feed({ type: 'Uploaded', key, seq: 7 });
        return this.#feed({ type: 'UploadFailed', key, code: one.code, detail: '' });
      }
      case 'retry': {
        const key = takeFrom(this.#retries, one.which);
        return key === undefined ? undefined : this.#feed({ type: 'RetryDue', key });
      }
      case 'review':
        return this.#review(one.which, one.order, one.verdict);
    }
  }

  /** A training that was stopped may have been over already. */
  #endTraining(which: number, well: boolean): void {
    const training = takeFrom(this.#trainings, which);
    if (training === undefined) return;
    const { key } = training;
    const order = this.#orders.get(key);
    if (!well || order === undefined)
      return this.#feed({ type: 'TrainingFailed', key, code: 'TRAINING_FAILED', detail: '' });
    this.#made += 1;
    const uploadId = `upl-${String(this.#made)}`;
    this.outbox.set(key, { order, uploadId });
    this.#feed({ type: 'Trained', key, uploadId });
  }

  #feed(event: SessionEvent): void {
    const before = this.state;
    const next = step(before, event);
    this.state = next.state;
    for (const effect of next.effects) this.#perform(effect, event);
    this.#check();
  }

  #perform(effect: SessionEffect, event: SessionEvent): void {
    const isStopping = this.state.stopping && event.type !== 'Stop';
    switch (effect.type) {
      case 'Verify':
        this.#reviews.push(effect.orderId);
        break;
      case 'Acknowledge': {
        const known = this.#answers.get(effect.answer.orderId);
        assert.deepEqual(effect.answer, known ?? effect.answer, 'an order answered in two ways');
        this.#answers.set(effect.answer.orderId, effect.answer);
        break;
      }
      case 'Train':
        assert.ok(!isStopping, 'a training of a process that stops');
        assert.ok(!this.outbox.has(effect.key), 'what is in the outbox is trained again');
        assert.ok(!this.#trainings.some(({ stopped }) => !stopped), 'two trainings at once');
        this.#trainings.push({ key: effect.key, stopped: false });
        break;
      case 'StopTraining':
        for (const training of this.#trainings) if (training.key === effect.key) training.stopped = true;
        break;
      case 'RetryLater':
        this.#retries.push(effect.key);
        break;
      default:
        this.#performUpload(effect, isStopping);
    }
  }

  #performUpload(effect: SessionEffect, isStopping: boolean): void {
    switch (effect.type) {
      case 'Upload':
        assert.ok(!isStopping || effect.renew, 'an upload of a process that stops');
        assert.ok(effect.renew || this.state.link === 'Ready', 'an upload without a connection');
        assert.ok(this.outbox.has(effect.key), 'an upload of what is not held');
        assert.ok(!this.#uploads.includes(effect.key), 'two uploads of one update');
        assert.ok(effect.renew || this.#given.has(effect.key), 'an upload that the site has not allowed');
        assert.ok(
          this.#orders.get(effect.key)?.secure !== true || this.#maskable.has(effect.key),
          'a masked upload before it is known who masks',
        );
        this.#uploads.push(effect.key);
        break;
      case 'StopUpload':
        this.#uploads = this.#uploads.filter((key) => key !== effect.key);
        break;
      case 'Discard':
        this.outbox.delete(effect.key);
        this.#retries = this.#retries.filter((key) => key !== effect.key);
        break;
      default:
    }
  }

  /** Disk and machine agree: what is held is known, and what is known to be held is there. */
  #check(): void {
    const holding = this.state.rounds
      .filter(({ phase }) => HOLDING.has(phase.name))
      .map(({ order }) => roundKey(order));
    assert.deepEqual(holding.sort(), [...this.outbox.keys()].sort(), 'the outbox and the session differ');
    const keys = this.state.rounds.map(({ order }) => roundKey(order));
    assert.equal(new Set(keys).size, keys.length, 'a round twice');
    this.#checkRest();
    for (const key of this.#uploads)
      assert.equal(this.#phase(key)?.name, 'Uploading', 'an upload that the session does not know of');
  }

  /** What can go on goes on, and what is over is gone. */
  #checkRest(): void {
    const { rounds, link, stopping } = this.state;
    const names = rounds.map(({ phase }) => phase.name);
    for (const { order, phase, confirmed, maskable } of rounds) {
      assert.ok(!rounds.some((other) => supersedes(other.order, order)), 'a round that is over is kept');
      const maySend = confirmed && (!order.secure || maskable) && link === 'Ready' && !stopping;
      if (maySend && phase.name === 'Held')
        assert.ok(this.#retries.includes(roundKey(order)), 'an update is held back');
    }
    if (!stopping && names.includes('Queued')) assert.ok(names.includes('Training'), 'nothing is trained');
  }

  #phase(key: RoundKey): { readonly name: string } | undefined {
    return this.state.rounds.find(({ order }) => roundKey(order) === key)?.phase;
  }

  #isClosed(order: RoundOrder): boolean {
    return this.#closed.some((by) => roundKey(by) === roundKey(order) || supersedes(by, order));
  }
}

/** Takes one of those that are under way. */
function takeFrom<T>(list: T[], which: number): T | undefined {
  if (list.length === 0 || which < 0) return undefined;
  return list.splice(which % list.length, 1)[0];
}
