/** A stage of one attempt at a round. */
export interface StageRef {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
  readonly stage: string;
}

export interface StageMessage extends StageRef {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** For one member each, by agent id. */
  readonly attachments: ReadonlyMap<string, Uint8Array>;
}

export interface StageRecord {
  readonly agentId: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** Empty where nothing was attached for this agent. */
  readonly attachment: Uint8Array;
}

export interface StageResult {
  /** Canonical bytes of the roster, the cohort or the survivors; empty where the stage made no set. */
  readonly set: Uint8Array;
  readonly records: readonly StageRecord[];
}
