import { ATTEMPT_WIRE_VERSION, isAtLeast, LIMITS, TributaryError, type ErrorCode } from '@tributary/proto';

import { requireCode, shortDetail } from '../domain/rounds/round-decisions.js';
import type { RolloutRefusal, ServedVersion } from '../domain/presence.js';
import type { Clock } from '../ports.js';
import type {
  AgentConnection,
  AgentHello,
  AgentLink,
  ConnectedAgent,
  Goodbye,
  OrderAcknowledgement,
  OrderWait,
  TrainingFailure,
  TrainingProgress,
} from './agent-connection.js';
import type { Order } from './order.js';
import type { RoundRef } from './round-ref.js';

/** A site will not take part: it refused the order, or its training failed. */
export interface Decline {
  readonly jobId: string;
  readonly round: number;
  /** Unset where the agent named only job and round, as those before wire version 1.3 do. */
  readonly attempt: number | undefined;
  readonly code: ErrorCode;
  readonly detail: string;
  /** Where it is not ready yet. */
  readonly wait?: OrderWait;
}

/** Called when an agent declines; rejections go back to the agent's stream. */
export type DeclineListener = (agentId: string, decline: Decline) => Promise<void>;

/** The rollout that an order is about. */
export interface RolloutRef {
  readonly rolloutId: string;
  readonly model: string;
}

/**
 * The agents whose streams are open: the newest stream of the newest process of each. The ledger fences processes older
 * than the newest that ever connected; the epochs here settle which of two that connect at the same moment stays.
 */
export class ConnectedAgents {
  readonly #clock: Clock;
  readonly #onDecline: DeclineListener;
  readonly #connections = new Map<string, Connection>();
  readonly #epochs = new Map<string, bigint>();
  readonly #listeners = new Set<(agentId: string) => void>();
  readonly #reports = new Set<(agentId: string) => void>();
  #cancelSweep: (() => void) | undefined;

  constructor(clock: Clock, onDecline: DeclineListener) {
    this.#clock = clock;
    this.#onDecline = onDecline;
  }

  /**
   * Registers a stream. Throws AGENT_FENCED where a newer process of the agent was seen; an older one, or an older
   * stream of the same process, is told goodbye. Orders of open rounds follow over `link` by themselves.
   */
  attach(agentId: string, hello: AgentHello, link: AgentLink): AgentConnection {
    const newest = this.#epochs.get(agentId);
    if (newest !== undefined && hello.sessionEpoch < newest) {
      throw new TributaryError('AGENT_FENCED', 'a newer process of this agent has connected', {
        hint: 'stop the other process, or join again where this state was restored from a backup',
      });
    }
    this.#epochs.set(agentId, hello.sessionEpoch);
    this.#replace(agentId, hello.sessionEpoch);
    const connection = new Connection(agentId, hello, link, this.#clock, {
      onDecline: this.#onDecline,
      onChange: () => {
        if (this.#connections.get(agentId) === connection)
          for (const told of [...this.#reports]) told(agentId);
      },
      onEnd: () => {
        if (this.#connections.get(agentId) !== connection) return;
        this.#connections.delete(agentId);
        this.#notify(agentId);
      },
    });
    this.#connections.set(agentId, connection);
    this.#scheduleSweep();
    this.#notify(agentId);
    return connection;
  }

  get(agentId: string): ConnectedAgent | undefined {
    return this.#connections.get(agentId);
  }

  list(): readonly ConnectedAgent[] {
    return [...this.#connections.values()];
  }

  /** Sends an order about a round or a rollout; false where the agent is not connected. */
  send(agentId: string, order: Order, about: RoundRef | RolloutRef): boolean {
    const connection = this.#connections.get(agentId);
    connection?.send(order, about);
    return connection !== undefined;
  }

  /** Ends the agent's stream. */
  dismiss(agentId: string, goodbye: Goodbye): void {
    this.#connections.get(agentId)?.end(goodbye);
  }

  /** Called with the agent's id after it came or went. */
  subscribe(listener: (agentId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called with the agent's id after it told that it serves other versions, or that it refuses a rollout. */
  subscribeReports(listener: (agentId: string) => void): () => void {
    this.#reports.add(listener);
    return () => this.#reports.delete(listener);
  }

  /** Ends all streams, as the daemon stops. */
  close(goodbye: Goodbye): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    for (const connection of this.list()) this.dismiss(connection.agentId, goodbye);
  }

  #replace(agentId: string, sessionEpoch: bigint): void {
    const older = this.#connections.get(agentId);
    if (older === undefined) return;
    const sameProcess = older.hello.sessionEpoch === sessionEpoch;
    older.end(
      sameProcess
        ? { code: 'CONFLICT', detail: 'replaced by a newer stream', retryAfterMs: LIMITS.reconnectMinMs }
        : { code: 'AGENT_FENCED', detail: 'a newer process of this agent has connected', retryAfterMs: 0 },
    );
  }

  #notify(agentId: string): void {
    for (const listener of [...this.#listeners]) listener(agentId);
  }

  #scheduleSweep(): void {
    if (this.#cancelSweep !== undefined) return;
    // At the moment when the longest silent one has been so for too long: sweeps now and then would notice it later.
    const seenMs = Math.min(this.#clock.now(), ...this.list().map(({ lastSeenMs }) => lastSeenMs));
    this.#cancelSweep = this.#clock.at(seenMs + LIMITS.heartbeatTimeoutMs, () => {
      this.#cancelSweep = undefined;
      this.#sweep();
    });
  }

  #sweep(): void {
    const oldest = this.#clock.now() - LIMITS.heartbeatTimeoutMs;
    const silent = this.list().filter((connection) => connection.lastSeenMs <= oldest);
    for (const { agentId } of silent) {
      const detail = 'no sign of life within the heartbeat timeout';
      this.dismiss(agentId, { code: 'DEADLINE_EXCEEDED', detail, retryAfterMs: LIMITS.reconnectMinMs });
    }
    if (this.#connections.size > 0) this.#scheduleSweep();
  }
}

interface ConnectionEvents {
  readonly onDecline: DeclineListener;
  readonly onChange: () => void;
  readonly onEnd: () => void;
}

class Connection implements AgentConnection, ConnectedAgent {
  readonly agentId: string;
  readonly hello: AgentHello;
  readonly connectedAtMs: number;
  lastSeenMs: number;
  progressed: TrainingProgress | undefined;
  serving: readonly ServedVersion[];
  readonly refusals = new Map<string, RolloutRefusal>();
  readonly #link: AgentLink;
  readonly #clock: Clock;
  readonly #events: ConnectionEvents;
  readonly #orders = new Map<string, RoundRef | RolloutRef>();
  #open = true;

  constructor(agentId: string, hello: AgentHello, link: AgentLink, clock: Clock, events: ConnectionEvents) {
    this.agentId = agentId;
    this.hello = hello;
    this.#link = link;
    this.#clock = clock;
    this.#events = events;
    this.serving = hello.serving ?? [];
    this.connectedAtMs = clock.now();
    this.lastSeenMs = this.connectedAtMs;
  }

  send(order: Order, about: RoundRef | RolloutRef): void {
    if (!this.#open) return;
    this.#orders.set(order.orderId, about);
    if (this.#orders.size > LIMITS.ordersRemembered)
      this.#orders.delete(this.#orders.keys().next().value ?? '');
    this.#link.order(order);
  }

  end(goodbye: Goodbye): void {
    if (!this.#open) return;
    this.#link.goodbye(goodbye);
    this.detach();
  }

  detach(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#events.onEnd();
  }

  heartbeat(serving?: readonly ServedVersion[]): void {
    this.lastSeenMs = this.#clock.now();
    if (serving === undefined || isSameServing(serving, this.serving)) return;
    this.serving = serving;
    this.#events.onChange();
  }

  async acknowledge(ack: OrderAcknowledgement): Promise<void> {
    this.heartbeat();
    const about = this.#orders.get(ack.orderId);
    if (about === undefined || !this.#open) return;
    if ('rolloutId' in about) this.#answered(about, ack);
    else if (!ack.accepted) {
      const wait = ack.wait === undefined ? {} : { wait: ack.wait };
      await this.#events.onDecline(this.agentId, { ...about, ...reasonOf(ack), ...wait });
    }
  }

  #answered({ rolloutId }: RolloutRef, ack: OrderAcknowledgement): void {
    if (ack.accepted) this.refusals.delete(rolloutId);
    else this.refusals.set(rolloutId, reasonOf(ack));
    this.#events.onChange();
  }

  progress(progress: TrainingProgress): void {
    this.heartbeat();
    this.progressed = { ...progress, percent: Math.min(100, Math.max(0, progress.percent)) };
  }

  async fail(failure: TrainingFailure): Promise<void> {
    this.heartbeat();
    if (!this.#open) return;
    const { jobId, round } = failure;
    const names = isAtLeast(this.hello.wire ?? ATTEMPT_WIRE_VERSION, ATTEMPT_WIRE_VERSION);
    const attempt = names ? failure.attempt : undefined;
    await this.#events.onDecline(this.agentId, { jobId, round, attempt, ...reasonOf(failure) });
  }
}

function isSameServing(a: readonly ServedVersion[], b: readonly ServedVersion[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ model, version }, at) => b[at]?.model === model && b[at].version === version)
  );
}

function reasonOf(reason: {
  readonly code: string;
  readonly detail: string;
}): Pick<Decline, 'code' | 'detail'> {
  return { code: requireCode(reason.code), detail: shortDetail(reason.detail) };
}
