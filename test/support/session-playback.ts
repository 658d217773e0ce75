import { once } from 'node:events';

import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type MethodDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { fromServiceError, serverOptions } from '@tributary/proto/grpc';

import {
  kindOf,
  METHODS,
  rpcOf,
  UNPROMPTED,
  type RecordedMessage,
  type RecordedSession,
} from './recorded-session.js';
import { eventually } from './waiting.js';

type Side = RecordedMessage['from'];

/** A message that the living side sent. */
export interface HeardMessage {
  readonly rpc: string;
  readonly kind: string;
  /** Whose call it is, where that is not the agent of the head. */
  readonly agent: string | undefined;
  readonly message: object;
}

/**
 * One side of a recorded session, played byte for byte. A message goes out once the other side has said as much, by RPC
 * and kind, as it had said in the recording.
 */
class Playback {
  readonly heard: HeardMessage[] = [];
  readonly session: RecordedSession;
  readonly #side: Side;

  constructor(session: RecordedSession, side: Side) {
    this.session = session;
    this.#side = side;
  }

  hear(rpc: string, message: object, agent?: string): void {
    const other = this.#side === 'agent' ? 'coordinator' : 'agent';
    this.heard.push({ rpc, kind: kindOf(rpc, other, message), agent, message });
  }

  /** What ended a call of this side: nothing more is due then. */
  failure: Error | undefined;

  /** Resolves when the recorded message `index` is due. */
  async due(index: number): Promise<void> {
    const before = this.session.messages.slice(0, index);
    const needed = before.filter(({ from, kind }) => from !== this.#side && !UNPROMPTED.has(kind));
    for (const { rpc, kind, agent } of needed) {
      const same = (other: Pick<HeardMessage, 'rpc' | 'kind'> & { readonly agent?: string | undefined }) =>
        other.rpc === rpc && other.kind === kind && other.agent === agent;
      const count = needed.filter(same).length;
      await eventually(`${String(count)} of ${rpc} ${kind}`, () => {
        if (this.failure !== undefined) throw this.failure;
        return this.heard.filter(same).length >= count || undefined;
      });
    }
  }

  get said(): readonly (RecordedMessage & { readonly index: number })[] {
    return this.session.messages
      .map((message, index) => ({ ...message, index }))
      .filter(({ from }) => from === this.#side);
  }
}

const raw = (bytes: Buffer): Buffer => bytes;

/**
 * Says to the coordinator what the recorded agents said, each at its own address; resolves with what it answered.
 */
export async function playAgents(
  session: RecordedSession,
  addresses: ReadonlyMap<string, string>,
): Promise<readonly HeardMessage[]> {
  const play = new Playback(session, 'agent');
  const clients = new Map(
    [...addresses].map(([agent, address]) => [agent, new Client(address, credentials.createInsecure())]),
  );
  const calls = new Map<number, { write(bytes: Buffer): void; end(): void }>();
  let done = false;
  try {
    for (const { index, call: number, rpc, agent, bytes } of play.said) {
      await play.due(index);
      const call = calls.get(number) ?? open(rpc, agent);
      calls.set(number, call);
      call.write(bytes);
      const more = play.said.some((later) => later.call === number && later.index > index);
      if (!more && rpc !== 'Fleet/Connect') call.end();
    }
    await play.due(session.messages.length);
    done = true;
    return play.heard;
  } finally {
    for (const client of clients.values()) client.close();
    for (const call of calls.values()) call.end();
  }

  function open(rpc: string, agent?: string): { write(bytes: Buffer): void; end(): void } {
    const method = METHODS.get(`/tributary.v1.${rpc}`);
    const client = clients.get(agent ?? session.head.agentId);
    if (method === undefined || client === undefined) throw new Error(`${rpc} is gone`);
    // Every kind of call is a stream of messages on the wire.
    const stream = client.makeBidiStreamRequest(method.path, raw, method.responseDeserialize, new Metadata());
    stream.on('data', (message: object) => play.hear(rpc, message, agent));
    stream.on('error', (error) => {
      if (!done) play.failure = fromServiceError(error);
    });
    return stream;
  }
}

/** A coordinator that answers what the recorded one answered. */
export class RecordedCoordinator {
  readonly address: string;
  readonly #server: Server;
  readonly #play: Playback;

  private constructor(server: Server, play: Playback, port: number) {
    this.#server = server;
    this.#play = play;
    this.address = `127.0.0.1:${String(port)}`;
  }

  static async start(session: RecordedSession): Promise<RecordedCoordinator> {
    const play = new Playback(session, 'coordinator');
    const server = new Server(serverOptions());
    for (const service of ['Fleet', 'Ledger']) {
      const methods = [...METHODS.values()].filter(({ path }) => rpcOf(path).startsWith(`${service}/`));
      const definition: Record<string, MethodDefinition<object, Buffer>> = {};
      const handlers: UntypedServiceImplementation = {};
      for (const method of methods) {
        const name = rpcOf(method.path).slice(service.length + 1);
        const streams = { requestStream: true, responseStream: true, responseSerialize: raw };
        definition[name] = { ...method, ...streams } as unknown as MethodDefinition<object, Buffer>;
        handlers[name] = answering(play, rpcOf(method.path));
      }
      server.addService(definition, handlers);
    }
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    return new RecordedCoordinator(server, play, port);
  }

  /** What the agent has said so far. */
  get heard(): readonly HeardMessage[] {
    return this.#play.heard;
  }

  /** Resolves when the agent has said all that the recorded one said. */
  whole(): Promise<void> {
    return this.#play.due(this.#play.session.messages.length);
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

interface AnyStream {
  on(event: 'data', listener: (message: object) => void): void;
  write(bytes: Buffer): void;
  end(): void;
}

/** Calls of one RPC are answered in the order of the recording. */
function answering(play: Playback, rpc: string): (stream: AnyStream & NodeJS.EventEmitter) => void {
  const recorded = [...new Set(play.said.filter((message) => message.rpc === rpc).map(({ call }) => call))];
  return (stream) => {
    const number = recorded.shift();
    const answer = async (): Promise<void> => {
      for (const { index, call, bytes } of play.said) {
        if (call !== number) continue;
        await play.due(index);
        stream.write(bytes);
      }
      if (rpc === 'Fleet/Connect') await once(stream, 'cancelled');
      stream.end();
    };
    stream.on('data', (message) => play.hear(rpc, message));
    // An agent that falls silent is reported by whoever waits for `whole`.
    answer().catch(() => undefined);
  };
}
