import { LIMITS } from '@tributary/proto';

/** What the open stream of an agent or a replica tells. Times in milliseconds. */
export interface AgentPresence {
  readonly connectedAtMs: number;
  readonly lastSeenMs: number;
  readonly software: string;
  /** Versions that answer there. */
  readonly serving?: readonly ServedVersion[];
  /** Rollouts that were refused there, by id. */
  readonly refusals?: ReadonlyMap<string, RolloutRefusal>;
}

/** Whoever holds a stream, by agent id. */
export type Presence = ReadonlyMap<string, AgentPresence>;

export interface ServedVersion {
  readonly model: string;
  readonly version: number;
}

export interface RolloutRefusal {
  readonly code: string;
  /** Redacted. */
  readonly detail: string;
}

/** When the silence of whoever holds a stream counts as absence. */
export const silentFrom = ({ lastSeenMs }: AgentPresence): number => lastSeenMs + LIMITS.heartbeatTimeoutMs;
