import type { Cell } from '@tributary/proto';

import type { Fault } from '../fault.js';
import type { Captures } from '../topic-matching.js';

/** A message of a broker. */
export interface StreamMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** User properties of MQTT 5; empty with MQTT 3.1.1. */
  readonly properties: Readonly<Record<string, string>>;
  /** Clock of the site. */
  readonly arrivalMs: number;
  /** The broker says that it may have delivered it before: its DUP flag is set, or it is a retained message. */
  readonly redelivered: boolean;
}

/** A record or samples as a payload gives them, before they have a key. */
export interface Extract {
  readonly startMs: number;
  /** 0 for a record. */
  readonly periodMs: number;
  readonly count: number;
  readonly columns: Readonly<Record<string, readonly Cell[]>>;
  /** Cells that hold for all samples: for keys and topics. */
  readonly attributes?: Readonly<Record<string, Cell>>;
  readonly id: string | undefined;
  /** The time is that of the arrival: the message does not know its own. */
  readonly arrived: boolean;
}

/** What reads payloads of one type. Never throws, whatever the bytes. */
export type PayloadReader = (message: StreamMessage, captures: Captures) => readonly Extract[] | Fault;
