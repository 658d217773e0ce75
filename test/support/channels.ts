import { readFile } from 'node:fs/promises';

import { credentials, type ChannelCredentials, type ChannelOptions, type Client } from '@grpc/grpc-js';
import {
  Admin,
  callServerStream,
  callUnary,
  channelOptions,
  Enrolment,
  Ledger,
  SERVER_NAME,
  type AdminClient,
  type EnrolmentClient,
  type LedgerClient,
  type Method,
} from '@tributary/proto/grpc';
import {
  findContext,
  parseContextFile,
  type Context,
} from '@tributary/coordinator/internal/cli/context-file.js';

import type { Addresses } from './federation.js';

/** A coordinator that runs somewhere, and the file of its operator. */
export interface Reachable {
  readonly contextFile: string;
  addresses(): Promise<Addresses>;
}

/** Options of a channel to an address of this machine: certificates name the coordinator, not the address. */
export function localOptions(overrides: ChannelOptions = {}): ChannelOptions {
  return channelOptions({ 'grpc.ssl_target_name_override': SERVER_NAME, ...overrides });
}

/** The operator's context of a federation. */
export async function operatorContext(federation: Reachable): Promise<Context> {
  const text = await readFile(federation.contextFile, 'utf8');
  return findContext(parseContextFile(text, federation.contextFile), undefined);
}

/** Server TLS that trusts the federation's own authority. */
export async function serverTls(federation: Reachable): Promise<ChannelCredentials> {
  const { ca } = await operatorContext(federation);
  return credentials.createSsl(Buffer.from(ca ?? ''));
}

export async function operatorTls(federation: Reachable): Promise<ChannelCredentials> {
  const { ca, certificate, key } = await operatorContext(federation);
  return credentials.createSsl(Buffer.from(ca ?? ''), Buffer.from(key ?? ''), Buffer.from(certificate ?? ''));
}

export async function adminClient(federation: Reachable): Promise<AdminClient> {
  return new Admin((await federation.addresses()).admin, await operatorTls(federation), localOptions());
}

/** The ledger as operators read it. */
export async function ledgerClient(federation: Reachable): Promise<LedgerClient> {
  return new Ledger((await federation.addresses()).admin, await operatorTls(federation), localOptions());
}

export async function enrolmentClient(federation: Reachable): Promise<EnrolmentClient> {
  return new Enrolment((await federation.addresses()).enrol, await serverTls(federation), localOptions());
}

type Definitions = Readonly<Record<string, unknown>>;
type RequestOf<M> = M extends { requestSerialize: (value: infer Request) => Buffer }
  ? Request & object
  : never;
type ResponseOf<M> = M extends { responseDeserialize: (bytes: Buffer) => infer Response }
  ? Response & object
  : never;

/** One call of a loaded service; rejects with a TributaryError. */
export function call<D extends Definitions, M extends keyof D>(
  client: Client,
  service: D,
  method: M,
  request: RequestOf<D[M]>,
): Promise<ResponseOf<D[M]>> {
  return callUnary(client, service[method] as Method<RequestOf<D[M]>, ResponseOf<D[M]>>, request);
}

/** All answers of one server stream. */
export async function callAll<D extends Definitions, M extends keyof D>(
  client: Client,
  service: D,
  method: M,
  request: RequestOf<D[M]>,
): Promise<ResponseOf<D[M]>[]> {
  const definition = service[method] as Method<RequestOf<D[M]>, ResponseOf<D[M]>>;
  const answers: ResponseOf<D[M]>[] = [];
  for await (const answer of callServerStream(client, definition, request)) answers.push(answer);
  return answers;
}
