import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { bytesToFloat32, TributaryError, type EnvelopeHeader } from '@tributary/proto';
import { Admin, Enrolment, Fleet, Ledger } from '@tributary/proto/grpc';
import { SealedCheckpointStore } from '@tributary/coordinator/internal/adapters/checkpoints/sealed-checkpoint-store.js';
import { FileKeyVault } from '@tributary/coordinator/internal/adapters/vault/file-key-vault.js';
import { requireSealingKey } from '@tributary/coordinator/internal/adapters/vault/sealing-key.js';

import { call, callAll, ledgerClient } from '../../support/channels.js';
import type { LocalFederation } from '../../support/federation.js';
import {
  grpcMessages,
  recordedAnswers,
  recordedRequests,
  type RecordedRequest,
} from '../../support/http2-recording.js';
import type { KeptFile } from '../../support/kept-files.js';
import { loggedPuts } from '../../support/level-log.js';
import type { Operator } from '../../support/operator.js';
import type { RecordedTunnel } from '../../support/recording-proxy.js';
import { decryptClient, decryptServer, KeyLog } from '../../support/tls-decryption.js';
import { openerOf } from '../kills/spooled-updates.js';
import type { Evidence } from './planted.js';

/** What the coordinator held sealed at any time, opened with its own key: it forgets most of it when a round is settled. */
export async function openedSecrets(
  kept: readonly KeptFile[],
  { data }: LocalFederation,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const key = await requireSealingKey(join(data, 'seal.key'));
  const opened = new Map<string, Uint8Array>();
  for (const { folder, name } of kept) {
    if (!name.endsWith('.sealed')) continue;
    const secret = await unsealed(folder, name.slice(0, -'.sealed'.length), key);
    opened.set(`${name} in ${basename(folder)}`, secret);
  }
  return opened;
}

/** A secret, or the sum of a checkpoint. */
async function unsealed(folder: string, name: string, key: Uint8Array): Promise<Uint8Array> {
  try {
    const vault = await FileKeyVault.open(folder, key);
    return (await vault.get(name)) ?? new Uint8Array();
  } catch (error) {
    if (!(error instanceof TributaryError) || error.code !== 'SEAL_BROKEN') throw error;
    const parts: Uint8Array[] = [];
    const checkpoints = await SealedCheckpointStore.open(folder, key);
    for await (const part of checkpoints.get(name) ?? []) parts.push(Buffer.from(part));
    return Buffer.concat(parts);
  }
}

/** Secret halves of the keys of all rounds so far. */
export async function roundSecrets(
  kept: readonly KeptFile[],
  federation: LocalFederation,
): Promise<readonly Uint8Array[]> {
  const secrets = await openedSecrets(kept, federation);
  return [...secrets].filter(([name]) => name.startsWith('round.')).map(([, secret]) => secret);
}

/** What agents and coordinator said to each other, below TLS. */
export interface Traffic {
  readonly evidence: readonly Evidence[];
  readonly requests: readonly RecordedRequest[];
  /** Every message of both directions but the chunks of updates and models, in JSON. */
  readonly messages: readonly Evidence[];
}

/** Decrypts what passed the proxy. `keyLogs` are the files of `--tls-keylog`. */
export async function decryptTraffic(
  tunnels: readonly RecordedTunnel[],
  ...keyLogs: readonly string[]
): Promise<Traffic> {
  const log = new KeyLog((await Promise.all(keyLogs.map((file) => readFile(file, 'utf8')))).join('\n'));
  const evidence: Evidence[] = [];
  const requests: RecordedRequest[] = [];
  const messages: Evidence[] = [];
  for (const [index, { target, ...tunnel }] of tunnels.entries()) {
    const [sent, received] = [Buffer.concat(tunnel.sent), Buffer.concat(tunnel.received)];
    const [client, server] = [decryptClient(sent, received, log), decryptServer(sent, received, log)];
    const own = await recordedRequests(client.applicationData);
    const answers = recordedAnswers(server.applicationData);
    requests.push(...own);
    const place = `connection ${String(index)} to ${target}`;
    evidence.push(
      { place: `${place}, as sent`, bytes: sent, ciphertext: true },
      { place: `${place}, as received`, bytes: received, ciphertext: true },
      { place: `${place}, handshake`, bytes: Buffer.concat([client.handshake, server.handshake]) },
      { place: `${place}, plaintext`, bytes: client.applicationData },
      { place: `${place}, plaintext of answers`, bytes: server.applicationData },
    );
    for (const { stream, headers, data } of own) {
      const path = String(headers[':path']);
      const answer = answers.get(stream) ?? Buffer.alloc(0);
      evidence.push(
        {
          place: `${place}, ${path}`,
          bytes: Buffer.concat([Buffer.from(JSON.stringify(headers)), data]),
        },
        { place: `${place}, answer to ${path}`, bytes: answer },
      );
      messages.push({ place: `${place}, messages of ${path}`, bytes: messagesOf(path, data, answer) });
    }
  }
  return { evidence, requests, messages };
}

/** Longer fields are chunks of updates and models. They are sought by themselves, as bytes. */
const FIELD_BYTES = 65_536;

/** Both directions of a call as text, with bytes that are text as such and others in hexadecimal. */
function messagesOf(path: string, data: Buffer, answer: Buffer): Buffer {
  const method = METHODS.find((one) => one.path === path);
  if (method === undefined) return Buffer.alloc(0);
  const said = [
    ...grpcMessages(data).map((bytes): unknown => method.requestDeserialize(bytes)),
    ...grpcMessages(answer).map((bytes): unknown => method.responseDeserialize(bytes)),
  ];
  return Buffer.from(said.map((message) => JSON.stringify(readable(message))).join('\n'));
}

const METHODS = [Fleet, Ledger, Enrolment].flatMap(({ service }) => Object.values(service));

function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value);
    if (bytes.length > FIELD_BYTES) return '';
    return bytes.every((byte) => byte >= 32 && byte < 127) ? bytes.toString() : bytes.toString('hex');
  }
  if (Array.isArray(value)) return value.map((one: unknown) => readable(one));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, readable(one)]));
}

export interface OpenedUpdate {
  readonly place: string;
  readonly header: EnvelopeHeader;
  readonly vector: Float32Array;
  readonly bytes: Buffer;
}

/** Updates among the requests, opened with the keys of their rounds; throws where none fits. */
export function openUpdates(
  requests: readonly RecordedRequest[],
  secrets: readonly Uint8Array[],
): readonly OpenedUpdate[] {
  const method = Fleet.service.SubmitUpdate;
  return requests
    .filter(({ headers }) => headers[':path'] === method.path)
    .map(({ data }) => {
      const messages = grpcMessages(data).map((bytes) => method.requestDeserialize(bytes));
      const header = messages.find((message) => message.header)?.header?.header ?? Buffer.alloc(0);
      const opener = openerOf(header, secrets);
      const chunks = messages.flatMap(({ chunk }) => (chunk ? [opener.open(chunk.index, chunk.data)] : []));
      const bytes = Buffer.concat(chunks);
      const place = `update ${opener.header.uploadId}`;
      return { place, header: opener.header, vector: bytesToFloat32(bytes), bytes };
    });
}

/** All files of the coordinator, all entries of its ledger (files of LevelDB are compressed), and all logs. */
export async function storedEvidence(federation: LocalFederation): Promise<readonly Evidence[]> {
  const evidence: Evidence[] = [];
  for (const file of await readdir(federation.data, { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const path = join(file.parentPath, file.name);
    evidence.push({
      place: `disk ${path.slice(federation.data.length + 1)}`,
      bytes: await readFile(path).catch(() => Buffer.alloc(0)),
    });
  }
  const ledger = await ledgerClient(federation);
  const entries = await callAll(ledger, Ledger.service, 'GetEntries', { start: '0', limit: 0 });
  ledger.close();
  evidence.push(...entries.map(({ seq, entry }) => ({ place: `ledger entry ${seq}`, bytes: entry })));
  for (const [name, daemon] of [['coordinator', federation.coordinator] as const, ...federation.agents]) {
    evidence.push({ place: `log of ${name}`, bytes: Buffer.from(await daemon.log()) });
  }
  return evidence;
}

/** What an operator is told of the federation's jobs, by every way of asking. */
export async function toldEvidence(
  federation: LocalFederation,
  { admin }: Operator,
): Promise<readonly Evidence[]> {
  const { objects } = await call(admin, Admin.service, 'ListObjects', { kind: 'FederatedJob' });
  const told: Evidence[] = [{ place: 'told of jobs', bytes: textOf(objects) }];
  for (const { name } of objects) {
    const place = `told of ${name}`;
    const ref = { kind: 'FederatedJob', name };
    told.push(
      { place, bytes: textOf(await call(admin, Admin.service, 'DescribeObject', ref)) },
      { place, bytes: Buffer.from(await federation.cliText('describe', `fj/${name}`)) },
      { place, bytes: Buffer.from(await federation.cliText('get', `fj/${name}`, '-o', 'json')) },
    );
  }
  return told;
}

const textOf = (message: object): Buffer => Buffer.from(JSON.stringify(readable(message)));

/** Files that the coordinator had and deleted since, and everything that it sealed, opened. */
export async function keptEvidence(
  kept: readonly KeptFile[],
  federation: LocalFederation,
): Promise<readonly Evidence[]> {
  const evidence: Evidence[] = [];
  for (const [name, bytes] of await openedSecrets(kept, federation))
    evidence.push({ place: `opened ${name}`, bytes: Buffer.from(bytes) });
  for (const { folder, name } of kept) {
    const bytes = await readFile(join(folder, name));
    const encrypted = name.endsWith('.sealed') || name.endsWith('.spool');
    evidence.push({ place: `kept ${name}`, bytes, ...(encrypted ? { ciphertext: true } : {}) });
    if (name.endsWith('.log'))
      for (const put of loggedPuts(await readFile(join(folder, name))))
        evidence.push({ place: `kept ${name}, ${put.key}`, bytes: put.value });
  }
  return evidence;
}
