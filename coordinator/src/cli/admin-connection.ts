import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import {
  Admin,
  callServerStream,
  callUnary,
  channelOptions,
  Ledger,
  serverNameOptions,
  type AdminClient,
  type AdminDefinition,
  type LedgerClient,
  type LedgerDefinition,
  type Method,
} from '@tributary/proto/grpc';

import { readContextKey, type Context } from './context-file.js';

type Methods = AdminDefinition & LedgerDefinition;
type RequestOf<M extends keyof Methods> = Methods[M] extends Method<infer Request, object> ? Request : never;
type ResponseOf<M extends keyof Methods> =
  Methods[M] extends Method<never, infer Response> ? Response : never;

/** Channels to the admin service and the ledger beside it: mutual TLS with a context's certificate, or the daemon's Unix socket. */
export class AdminConnection {
  readonly #client: AdminClient;
  readonly #ledger: LedgerClient;

  private constructor(client: AdminClient, ledger: LedgerClient) {
    this.#client = client;
    this.#ledger = ledger;
  }

  /** Opens the channel of a context; `path` is the context file, to which a keyFile is relative. */
  static async open(context: Context, path: string): Promise<AdminConnection> {
    const secure = context.server.startsWith('unix:')
      ? credentials.createInsecure()
      : await tlsOf(context, path);
    const options = channelOptions(serverNameOptions(hostOf(context.server)));
    return new AdminConnection(
      new Admin(context.server, secure, options),
      new Ledger(context.server, secure, options),
    );
  }

  unary<M extends keyof Methods>(method: M, request: RequestOf<M>): Promise<ResponseOf<M>> {
    return callUnary(this.#clientOf(method), methodOf(method), request);
  }

  stream<M extends keyof Methods>(
    method: M,
    request: RequestOf<M>,
    signal?: AbortSignal,
  ): AsyncGenerator<ResponseOf<M>, void, undefined> {
    const options = signal === undefined ? {} : { signal };
    return callServerStream(this.#clientOf(method), methodOf(method), request, options);
  }

  close(): void {
    this.#client.close();
    this.#ledger.close();
  }

  #clientOf(method: keyof Methods): AdminClient | LedgerClient {
    return method in Ledger.service ? this.#ledger : this.#client;
  }
}

/** The definition of a method; the names of both services are distinct. */
function methodOf<M extends keyof Methods>(method: M): Method<RequestOf<M>, ResponseOf<M>> {
  const methods: Methods = { ...Admin.service, ...Ledger.service };
  return methods[method] as unknown as Method<RequestOf<M>, ResponseOf<M>>;
}

/** "10.0.0.7:7445" and "[::1]:7445" have a host; unix:/path has none. */
const hostOf = (server: string): string =>
  server.startsWith('unix:') ? '' : server.slice(0, server.lastIndexOf(':'));

async function tlsOf(context: Context, path: string): Promise<ChannelCredentials> {
  const key = await readContextKey(context, path);
  return credentials.createSsl(
    Buffer.from(context.ca ?? ''),
    Buffer.from(key),
    Buffer.from(context.certificate ?? ''),
  );
}
