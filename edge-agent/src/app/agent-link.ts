import {
  COSIGNING_WIRE_VERSION,
  encodeBase64,
  isAtLeast,
  SOFTWARE_VERSION,
  transcript,
  TributaryError,
  WIRE_VERSIONS,
  type Cosignature,
  type SignedTreeHead,
  type SigningKey,
} from '@tributary/proto';

import { clip } from '../domain/redaction.js';
import { alarmError } from '../domain/ledger-alarm.js';
import { afterGoodbye, afterLinkFailure, heartbeatIntervalMs, type LinkOutcome } from '../domain/link.js';
import type { CoordinatorMessage, HeartbeatAck, RawOrder, Welcome } from '../coordinator-messages.js';
import type {
  AgentMessage,
  Clock,
  Dialer,
  FleetClient,
  FleetStream,
  Random,
  ServedVersion,
} from '../ports.js';
import type { CertificateKeeper } from './certificate-keeper.js';
import { channelIdentityOf } from './enrolment-record.js';
import type { Log } from './log.js';
import { pause, uniform } from './pause.js';
import { Watchdog } from './watchdog.js';
import type { Witness } from './witness.js';

export interface AgentLinkParts {
  readonly dialer: Dialer;
  readonly keeper: CertificateKeeper;
  readonly witness: Witness;
  readonly identity: SigningKey;
  readonly sessionEpoch: bigint;
  /** Whether the agent signs the heads that it has checked: replicas do not, they are no members. */
  readonly cosigns: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** What `describe` shows of the site. */
  readonly offer: () => SiteOffer;
}

export interface SiteOffer {
  readonly backend: string;
  readonly datasets: readonly string[];
  /** Versions that answer now. */
  readonly serving: readonly ServedVersion[];
}

/** What the link tells its owner. */
export interface LinkListener {
  up(approved: boolean): void;
  down(): void;
  order(order: RawOrder): void;
}

export type LinkStatus = 'Connecting' | 'AwaitingApproval' | 'Connected' | 'Waiting' | 'Halted' | 'Ended';

/** Nothing is spent yet: the head of an empty spending log. */
const SPEND_LOG_HEAD = new Uint8Array(0);

/** Holds one Connect stream to the coordinator and opens it again whenever it ends. */
export class AgentLink {
  readonly #parts: AgentLinkParts;
  readonly #listener: LinkListener;
  #client: FleetClient | undefined;
  #stream: FleetStream | undefined;
  /** The stream that this side ended in order to open the next one. */
  #replaced: FleetStream | undefined;
  #status: LinkStatus = 'Connecting';
  #welcomed = false;
  #wire = WIRE_VERSIONS.at(-1) ?? '';
  /** Size of the head that the stream said last, apart from those of orders. */
  #said = 0;
  /** Size of the head that was signed last. */
  #cosigned = 0;
  #failures = 0;
  #lastError: { readonly code: string; readonly detail: string } | undefined;

  constructor(parts: AgentLinkParts, listener: LinkListener) {
    this.#parts = parts;
    this.#listener = listener;
  }

  get status(): LinkStatus {
    return this.#status;
  }

  /** Why the link was lost last. */
  get lastError(): { readonly code: string; readonly detail: string } | undefined {
    return this.#lastError;
  }

  /** Wire version of the last welcome; before the first, the oldest that this build speaks. */
  get wire(): string {
    return this.#wire;
  }

  /** The channel of the moment. */
  get client(): FleetClient | undefined {
    return this.#client;
  }

  /** Sends over the open stream; lost where there is none: whatever matters is said again after reconnecting. */
  send(message: AgentMessage): void {
    this.#stream?.send(message);
  }

  /** Ends the stream, so that the next one begins at once. Calls that run on the old channel go on. */
  reconnect(): void {
    this.#replaced = this.#stream;
    this.#stream?.close();
  }

  /** Ends a stream that is of no use; the next one begins after the usual wait. */
  drop(): void {
    this.#stream?.close();
  }

  /** Resolves when `signal` is aborted; rejects where the coordinator ends the relation for good. */
  async run(signal: AbortSignal): Promise<void> {
    const close = (): void => this.#stream?.close();
    signal.addEventListener('abort', close, { once: true });
    try {
      while (!signal.aborted)
        await (this.#parts.witness.alarm === undefined ? this.#once(signal) : this.#halt(signal));
    } finally {
      signal.removeEventListener('abort', close);
      this.#client?.close();
      this.#client = undefined;
      this.#status = 'Ended';
    }
  }

  async #once(signal: AbortSignal): Promise<void> {
    this.#status = 'Connecting';
    const outcome = await this.#session(signal);
    if (signal.aborted || outcome === undefined) return;
    const { code, detail } = outcome;
    this.#lastError = { code, detail };
    this.#parts.log.warn({ code, detail, next: outcome.next }, 'connection lost');
    if (outcome.next === 'End') throw new TributaryError(outcome.code, detail);
    if (this.#parts.witness.alarm !== undefined) return;
    if (outcome.next === 'Renew') await this.#renew();
    this.#status = code === 'AGENT_NOT_APPROVED' ? 'AwaitingApproval' : 'Waiting';
    await pause(this.#parts.clock, outcome.waitMs, signal).catch(() => undefined);
  }

  /** Nothing of this coordinator is trusted: what is served goes on, and the next stream waits for the site's people. */
  async #halt(signal: AbortSignal): Promise<void> {
    const { witness, log } = this.#parts;
    const { alarm } = witness;
    if (alarm === undefined) return;
    const { code, message: detail, hint } = alarmError(alarm);
    this.#status = 'Halted';
    this.#lastError = { code, detail };
    log.error({ code, detail, hint }, 'the agent does nothing for this coordinator until this is settled');
    await witness.settled(signal);
    this.#failures = 0;
  }

  async #renew(): Promise<void> {
    try {
      await this.#parts.keeper.renew();
    } catch (error) {
      const { code, message, retryable } = TributaryError.from(error);
      if (!retryable) throw error;
      this.#parts.log.warn({ code, detail: message }, 'renewal failed');
    }
  }

  /** One connection from dialling to its end; undefined where it ended by our own will. */
  async #session(signal: AbortSignal): Promise<LinkOutcome | undefined> {
    try {
      const client = await this.#dial();
      return await this.#converse(client, signal);
    } catch (error) {
      const cause = await this.#explain(TributaryError.from(error));
      this.#failures += 1;
      const { code, message, fields } = cause;
      return afterLinkFailure(code, message, this.#failures - 1, uniform(this.#parts.random), fields);
    } finally {
      this.#stream?.close();
      this.#stream = undefined;
      this.#listener.down();
    }
  }

  async #dial(): Promise<FleetClient> {
    const { keeper, dialer } = this.#parts;
    await keeper.ensureUsable();
    const client = await dialer.fleet(keeper.record.fleetAddress, channelIdentityOf(keeper.record));
    // The old channel serves its running calls to their end.
    this.#client?.close();
    this.#client = client;
    return client;
  }

  async #converse(client: FleetClient, signal: AbortSignal): Promise<LinkOutcome | undefined> {
    const stream = client.connect();
    this.#stream = stream;
    if (signal.aborted) return undefined;
    const known = this.#parts.witness.head;
    stream.send(this.#hello(known));
    const watchdog = new Watchdog(this.#parts.clock, stream, () => ({
      type: 'Heartbeat',
      serving: this.#parts.offer().serving,
      ...this.#cosignature(),
    }));
    this.#welcomed = false;
    try {
      for await (const message of stream.messages) {
        watchdog.seen();
        if (message.type === 'Goodbye')
          return afterGoodbye(
            message.code,
            message.detail,
            message.retryAfterMs,
            uniform(this.#parts.random),
          );
        if (!this.#welcomed) {
          await this.#welcome(client, message, known);
          watchdog.beat(heartbeatIntervalMs(message.type === 'Welcome' ? message.heartbeatIntervalMs : 0));
          this.#welcomed = true;
        } else this.#receive(client, message);
      }
    } catch (error) {
      if (this.#replaced === stream || signal.aborted) return undefined;
      await this.#examine(client, TributaryError.from(error));
      throw watchdog.expired
        ? new TributaryError('UNAVAILABLE', 'the coordinator has gone silent', { cause: error })
        : error;
    } finally {
      watchdog.stop();
    }
    if (this.#replaced === stream || signal.aborted) return undefined;
    throw new TributaryError('UNAVAILABLE', 'the coordinator ended the stream');
  }

  /** A coordinator that refuses what the agent has seen, or signed for, has lost entries: its own head is the evidence. */
  async #examine(client: FleetClient, { code }: TributaryError): Promise<void> {
    const refused = code === 'LEDGER_FORKED' || (code === 'PROOF_INVALID' && !this.#welcomed);
    if (!refused || this.#parts.witness.alarm !== undefined) return;
    const head = await client.treeHead().catch(() => undefined);
    if (head === undefined) return;
    await this.#parts.witness.observe(
      head,
      (first, second) => client.consistencyProof(first, second),
      'Newest',
    );
  }

  #receive(client: FleetClient, message: CoordinatorMessage): void {
    if (this.#status === 'AwaitingApproval' && isForTheApproved(message)) this.#approved(true);
    if (message.type === 'HeartbeatAck') this.#watch(client, message);
    if (message.type === 'Order') this.#listener.order(message.order);
  }

  /** A head without an order: the log is watched, and signed for, while no round is open. */
  #watch(client: FleetClient, { treeHead, consistency }: HeartbeatAck): void {
    if (treeHead === undefined) return;
    const { witness, log } = this.#parts;
    const said = this.#said;
    this.#said = treeHead.treeSize;
    const prove = (first: number, second: number): Promise<readonly Uint8Array[]> =>
      first === said && second === treeHead.treeSize && consistency.length > 0
        ? Promise.resolve(consistency)
        : client.consistencyProof(first, second);
    witness.observe(treeHead, prove).catch((error: unknown) => {
      const { code, message: detail } = TributaryError.from(error);
      log.warn({ code, detail }, 'a head of the log was not verified');
      if (witness.alarm !== undefined) this.drop();
    });
  }

  /** The agent's word for a head, where it has not been given before. */
  #cosignature(): { readonly cosignature?: Cosignature } {
    const { cosigns, witness, identity, keeper, clock } = this.#parts;
    const size = witness.head?.treeSize ?? 0;
    if (!cosigns || size <= this.#cosigned || !isAtLeast(this.#wire, COSIGNING_WIRE_VERSION)) return {};
    const cosignature = witness.cosign(identity, keeper.record.agentId, clock.now());
    if (cosignature === undefined) return {};
    this.#cosigned = size;
    return { cosignature };
  }

  async #welcome(
    client: FleetClient,
    message: CoordinatorMessage,
    known: SignedTreeHead | undefined,
  ): Promise<void> {
    if (message.type !== 'Welcome')
      throw new TributaryError('INVALID_ARGUMENT', 'the coordinator did not begin with a welcome');
    if (!WIRE_VERSIONS.includes(message.version))
      throw new TributaryError(
        'VERSION_UNSUPPORTED',
        `the coordinator chose wire version "${clip(message.version)}"; this build speaks ${WIRE_VERSIONS.join(', ')}`,
        { hint: 'upgrade the older side; a coordinator serves agents of the previous minor version' },
      );
    await this.#witness(client, message, known);
    this.#wire = message.version;
    this.#failures = 0;
    this.#lastError = undefined;
    this.#approved(message.approved);
  }

  /** The log may only have grown since the head that the hello named. */
  async #witness(
    client: FleetClient,
    { treeHead, consistency }: Welcome,
    known: SignedTreeHead | undefined,
  ): Promise<void> {
    const prove = (first: number, second: number): Promise<readonly Uint8Array[]> =>
      first === known?.treeSize && second === treeHead.treeSize
        ? Promise.resolve(consistency)
        : client.consistencyProof(first, second);
    await this.#parts.witness.observe(treeHead, prove, 'Newest');
    this.#said = treeHead.treeSize;
  }

  #approved(approved: boolean): void {
    this.#status = approved ? 'Connected' : 'AwaitingApproval';
    this.#parts.log.info({ approved }, 'connected');
    this.#listener.up(approved);
  }

  #hello(treeHead: SignedTreeHead | undefined): AgentMessage {
    const { keeper, sessionEpoch, identity, offer, witness, cosigns, clock } = this.#parts;
    const { agentId, logId } = keeper.record;
    const statement = transcript('hello', {
      agentId,
      logId,
      sessionEpoch: String(sessionEpoch),
      spendLogHead: encodeBase64(SPEND_LOG_HEAD),
      versions: WIRE_VERSIONS,
    });
    return {
      type: 'Hello',
      versions: WIRE_VERSIONS,
      software: `tributary-agent/${SOFTWARE_VERSION}`,
      sessionEpoch,
      spendLogHead: SPEND_LOG_HEAD,
      treeHead,
      ...offer(),
      cosignature: cosigns ? witness.cosign(identity, agentId, clock.now()) : undefined,
      signature: identity.sign(statement),
    };
  }

  /** A proxy on the way explains more than "connection refused" does. */
  async #explain(error: TributaryError): Promise<TributaryError> {
    if (error.code !== 'UNAVAILABLE') return error;
    const reason = await this.#parts.dialer.diagnose(this.#parts.keeper.record.fleetAddress);
    return reason === undefined ? error : TributaryError.from(reason);
  }
}

/** Orders and heads of the log go to approved agents only: the first one says that the wait is over. */
function isForTheApproved(message: CoordinatorMessage): boolean {
  return message.type === 'Order' || (message.type === 'HeartbeatAck' && message.treeHead !== undefined);
}
