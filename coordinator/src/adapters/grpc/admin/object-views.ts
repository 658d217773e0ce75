import { canonicalize, TributaryError, type LedgerEntry } from '@tributary/proto';
import type { Event, ObjectMessage } from '@tributary/proto/grpc';

import type { ConnectedAgents } from '../../../app/connections.js';
import type { Federation } from '../../../app/federation.js';
import {
  findObject,
  listObjects,
  subjectOf,
  type ObjectKind,
  type ObjectName,
  type ObjectView,
  type Surroundings,
} from '../../../domain/objects.js';
import type { Clock } from '../../../ports.js';

/** Objects as they are now: the fold of the ledger, with the connections of this moment. */
export class ObjectViews {
  readonly #federation: Federation;
  readonly #agents: ConnectedAgents;
  readonly #clock: Clock;

  constructor(federation: Federation, agents: ConnectedAgents, clock: Clock) {
    this.#federation = federation;
    this.#agents = agents;
    this.#clock = clock;
  }

  get(kind: ObjectKind, name: string): ObjectView | undefined {
    return findObject(this.#federation.state, { kind, name }, this.#surroundings());
  }

  /** As `get`; throws NOT_FOUND. */
  require(kind: ObjectKind, name: string): ObjectView {
    const view = this.get(kind, name);
    if (view !== undefined) return view;
    throw new TributaryError('NOT_FOUND', `no ${kind} named ${name}`, {
      hint: `tributary get ${kind.toLowerCase()}`,
    });
  }

  list(kind: ObjectKind): readonly ObjectView[] {
    return listObjects(this.#federation.state, kind, this.#surroundings());
  }

  /** The object that an entry is about, if any. */
  subjectOf(entry: LedgerEntry): ObjectName | undefined {
    return subjectOf(this.#federation.state, entry);
  }

  #surroundings(): Surroundings {
    const presence = this.#agents
      .list()
      .map(
        ({ agentId, connectedAtMs, lastSeenMs, hello, serving, refusals }) =>
          [agentId, { connectedAtMs, lastSeenMs, software: hello.software, serving, refusals }] as const,
      );
    return { now: this.#clock.now(), presence: new Map(presence) };
  }
}

export function toObjectMessage({ object, seq }: ObjectView): ObjectMessage {
  return {
    kind: object.kind,
    name: object.metadata.name,
    document: canonicalize(object),
    seq: String(seq),
  };
}

export function toEventMessage(entry: LedgerEntry): Event {
  return {
    seq: String(entry.seq),
    time: entry.time,
    actor: entry.actor,
    type: entry.type,
    body: canonicalize(entry.body),
  };
}
