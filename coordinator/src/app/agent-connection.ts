import type { ErrorCode } from '@tributary/proto';

import type { RolloutRefusal, ServedVersion } from '../domain/presence.js';
import type { Order } from './order.js';

/** Why the coordinator ends a stream. */
export interface Goodbye {
  readonly code: ErrorCode;
  readonly detail: string;
  /** Milliseconds after which the agent may come back; 0: never. */
  readonly retryAfterMs: number;
}

/** What an agent says of itself when its stream begins; the caller has verified the signature. */
export interface AgentHello {
  /** Durable counter of the agent's process starts. */
  readonly sessionEpoch: bigint;
  /** Size of the newest tree head that the agent has verified; 0 if none. */
  readonly knownSize: number;
  readonly software: string;
  readonly backend: string;
  readonly datasets: readonly string[];
  /** Versions that answer at the site. */
  readonly serving?: readonly ServedVersion[];
  /** Wire version that was agreed; the newest where absent. */
  readonly wire?: string;
}

/** The way back to one connected agent. Neither call may throw; both return at once. */
export interface AgentLink {
  order(order: Order): void;
  /** The last message of the stream. */
  goodbye(goodbye: Goodbye): void;
}

export interface OrderAcknowledgement {
  readonly orderId: string;
  readonly accepted: boolean;
  /** Code of the error table and redacted detail, where not accepted. */
  readonly code: string;
  readonly detail: string;
  /** Where the code is SITE_NOT_READY: what the site waits for. */
  readonly wait?: OrderWait;
}

/** Why a site is not ready; the milliseconds are those until its schedule allows it. */
export interface OrderWait {
  readonly reason: 'Approval' | 'Schedule';
  readonly waitMs: number;
}

export interface TrainingProgress {
  readonly jobId: string;
  readonly round: number;
  /** 0 to 100. */
  readonly percent: number;
}

export interface TrainingFailure {
  readonly jobId: string;
  readonly round: number;
  /** 0 from agents before wire version 1.3, whatever the attempt. */
  readonly attempt: number;
  readonly code: string;
  readonly detail: string;
}

/** One attached stream. Every message from the agent counts as a sign of life. */
export interface AgentConnection {
  heartbeat(serving?: readonly ServedVersion[]): void;
  /** Rejects with INVALID_ARGUMENT for a code outside the table. An unknown order is ignored. */
  acknowledge(ack: OrderAcknowledgement): Promise<void>;
  progress(progress: TrainingProgress): void;
  /** Training of an open round failed at the site: recorded as `site.declined`. */
  fail(failure: TrainingFailure): Promise<void>;
  /** The stream has ended. Idempotent. */
  detach(): void;
}

/** What `describe` shows of a connected agent. */
export interface ConnectedAgent {
  readonly agentId: string;
  readonly hello: AgentHello;
  readonly connectedAtMs: number;
  readonly lastSeenMs: number;
  readonly progressed: TrainingProgress | undefined;
  /** As the agent said last. */
  readonly serving: readonly ServedVersion[];
  /** Rollouts that it refused on this stream, by id. */
  readonly refusals: ReadonlyMap<string, RolloutRefusal>;
}
