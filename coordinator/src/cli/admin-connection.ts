import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import {
  Admin,
  callServerStream,
  callUnary,
  channelOptions,
  serverNameOptions,
  type AdminClient,
  type AdminDefinition,
  type Method,
} from '@tributary/proto/grpc';

import { readContextKey, type Context } from './context-file.js';

type Methods = AdminDefinition;
type RequestOf<M extends keyof Methods> = Methods[M] extends Method<infer Request, object> ? Request : never;
type ResponseOf<M extends keyof Methods> =
  Methods[M] extends Method<never, infer Response> ? Response : never;

/** A channel to the admin service: mutual TLS with a context's certificate, or the daemon's Unix socket. */
export class AdminConnection {
  readonly #client: AdminClient;

  private constructor(client: AdminClient) {
    this.#client = client;
  }

  /** Opens the channel of a context; `path` is the context file, to which a keyFile is relative. */
  static async open(context: Context, path: string): Promise<AdminConnection> {
    const secure = context.server.startsWith('unix:')
      ? credentials.createInsecure()
      : await tlsOf(context, path);
    return new AdminConnection(
      new Admin(context.server, secure, channelOptions(serverNameOptions(hostOf(context.server)))),
    );
  }

  unary<M extends keyof Methods>(method: M, request: RequestOf<M>): Promise<ResponseOf<M>> {
    return callUnary(
      this.#client,
      Admin.service[method] as unknown as Method<RequestOf<M>, ResponseOf<M>>,
      request,
    );
  }

  stream<M extends keyof Methods>(
    method: M,
    request: RequestOf<M>,
    signal?: AbortSignal,
  ): AsyncGenerator<ResponseOf<M>, void, undefined> {
    const definition = Admin.service[method] as unknown as Method<RequestOf<M>, ResponseOf<M>>;
    return callServerStream(this.#client, definition, request, signal === undefined ? {} : { signal });
  }

  close(): void {
    this.#client.close();
  }
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
