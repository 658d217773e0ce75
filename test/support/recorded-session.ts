import { readFile, writeFile } from 'node:fs/promises';

import { InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { Fleet, Ledger } from '@tributary/proto/grpc';

/** One message of a recorded session, as it was on the wire. */
export interface RecordedMessage {
  readonly from: 'agent' | 'coordinator';
  /** "Fleet/Connect" and so on. */
  readonly rpc: string;
  /** Calls are numbered in the order in which they began. */
  readonly call: number;
  /** The agent whose call it is, where that is not the agent of the head. */
  readonly agent?: string;
  /** What a message of a oneof is: "hello", "order"; the RPC's name elsewhere. */
  readonly kind: string;
  /** Protocol buffer. */
  readonly bytes: Buffer;
}

export interface SessionHead {
  readonly formatVersion: 1;
  readonly wire: string;
  /** When it began, by the clock of the agent. */
  readonly atMs: number;
  readonly agentId: string;
  /** The author of its jobs, standard base64. */
  readonly authorKey: string;
}

export interface RecordedSession {
  readonly head: SessionHead;
  readonly messages: readonly RecordedMessage[];
}

/** Messages that come when time has passed, not because another came: nothing waits for them. */
export const UNPROMPTED: ReadonlySet<string> = new Set(['heartbeat', 'heartbeatAck', 'progress']);

interface Coded {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => object;
  readonly responseDeserialize: (bytes: Buffer) => object;
  readonly requestSerialize: (message: never) => Buffer;
  readonly responseSerialize: (message: never) => Buffer;
}

export const METHODS: ReadonlyMap<string, Coded> = new Map(
  [...Object.values(Fleet.service), ...Object.values(Ledger.service)].map((method) => [method.path, method]),
);

export const rpcOf = (path: string): string => path.replace('/tributary.v1.', '');

/** What a decoded message is: the field of its oneof that is set, or the name of its RPC. */
export function kindOf(rpc: string, from: RecordedMessage['from'], message: object): string {
  if (rpc !== 'Fleet/Connect' && (rpc !== 'Fleet/SubmitUpdate' || from === 'coordinator')) return rpc;
  // What was decoded names the choice in another field; what is about to be encoded has one field only.
  const set = Object.entries(message).find(([, value]) => typeof value === 'object' && value !== null);
  return set?.[0] ?? rpc;
}

/** Keeps every message of the channels that it is given to. */
export class SessionRecorder {
  readonly messages: RecordedMessage[] = [];
  #calls = 0;

  /** For the channels of one agent; `agent` where it is not the agent of the head. */
  interceptor(agent?: string): Interceptor {
    return (options, next) => {
      const { path } = options.method_definition;
      const method = METHODS.get(path);
      const rpc = rpcOf(path);
      const call = (this.#calls += 1);
      const whose = agent === undefined ? {} : { agent };
      const keep = (
        from: RecordedMessage['from'],
        message: unknown,
        encode?: (message: never) => Buffer,
      ): void => {
        if (encode === undefined || typeof message !== 'object' || message === null) return;
        const kind = kindOf(rpc, from, message);
        this.messages.push({ from, rpc, call, ...whose, kind, bytes: encode(message as never) });
      };
      return new InterceptingCall(next(options), {
        start: (metadata, _listener, forward) =>
          forward(metadata, {
            onReceiveMessage: (message: unknown, pass) => {
              keep('coordinator', message, method?.responseSerialize);
              pass(message);
            },
          }),
        sendMessage: (message: unknown, pass) => {
          keep('agent', message, method?.requestSerialize);
          pass(message);
        },
      });
    };
  }
}

/** What one agent of a session heard and said. */
export function sessionOf({ head, messages }: RecordedSession, agentId: string): RecordedSession {
  const own = messages.filter(({ agent = head.agentId }) => agent === agentId);
  return { head: { ...head, agentId }, messages: own };
}

/** The agents of a session, that of the head first. */
export const agentsOf = ({ head, messages }: RecordedSession): readonly string[] => [
  ...new Set([head.agentId, ...messages.map(({ agent = head.agentId }) => agent)]),
];

/** A line of JSON for the head and for each message. */
export async function writeSession(path: string, { head, messages }: RecordedSession): Promise<void> {
  const lines = messages.map(({ bytes, ...rest }) => ({ ...rest, bytes: bytes.toString('base64') }));
  await writeFile(path, [head, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(''));
}

export async function readSession(path: string): Promise<RecordedSession> {
  const [head, ...lines] = (await readFile(path, 'utf8')).trimEnd().split('\n');
  return {
    head: JSON.parse(head ?? '') as SessionHead,
    messages: lines.map((line) => {
      const { bytes, ...rest } = JSON.parse(line) as Omit<RecordedMessage, 'bytes'> & { bytes: string };
      return { ...rest, bytes: Buffer.from(bytes, 'base64') };
    }),
  };
}
