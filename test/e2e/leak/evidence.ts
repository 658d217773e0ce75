import { copyFile, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { bytesToFloat32, EnvelopeOpener, TributaryError } from '@tributary/proto';
import { Fleet, Ledger } from '@tributary/proto/grpc';
import { FileKeyVault } from '@tributary/coordinator/internal/adapters/vault/file-key-vault.js';
import { readSealingKey } from '@tributary/coordinator/internal/adapters/vault/sealing-key.js';

import { callAll, ledgerClient } from '../../support/channels.js';
import type { LocalFederation } from '../../support/federation.js';
import { grpcMessages, recordedRequests, type RecordedRequest } from '../../support/http2-recording.js';
import type { RecordedTunnel } from '../../support/recording-proxy.js';
import { decryptClient, KeyLog } from '../../support/tls-decryption.js';
import type { Evidence } from './planted.js';

/** Copies the sealed keys of rounds while they exist: a coordinator forgets them when a round is settled. */
export class RoundKeyCopies {
  readonly #keys: string;
  readonly #copies: string;
  readonly #timer: NodeJS.Timeout;

  private constructor(keys: string, copies: string) {
    this.#keys = keys;
    this.#copies = copies;
    this.#timer = setInterval(() => {
      this.#copy().catch(() => undefined);
    }, 5);
  }

  static async start({ data, folder }: LocalFederation): Promise<RoundKeyCopies> {
    const copies = join(folder, 'round-keys');
    await mkdir(copies);
    return new RoundKeyCopies(join(data, 'keys'), copies);
  }

  /** Secret halves of the keys of all rounds so far. */
  async secrets({ data }: LocalFederation): Promise<readonly Uint8Array[]> {
    const vault = await FileKeyVault.open(this.#copies, await readSealingKey(join(data, 'seal.key')));
    const secrets = await Promise.all((await vault.list()).map((name) => vault.get(name)));
    return secrets.flatMap((secret) => secret ?? []);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #copy(): Promise<void> {
    const names = (await readdir(this.#keys)).filter(
      (name) => name.startsWith('round.') && name.endsWith('.sealed'),
    );
    for (const name of names) {
      const [from, to] = [join(this.#keys, name), join(this.#copies, name)];
      await copyFile(from, to).catch(() => undefined);
    }
  }
}

/** What left a site below TLS. */
export interface Traffic {
  readonly evidence: readonly Evidence[];
  readonly requests: readonly RecordedRequest[];
}

/** Decrypts what agents sent through the proxy. `keyLog` is the file of `--tls-keylog`. */
export async function decryptTraffic(tunnels: readonly RecordedTunnel[], keyLog: string): Promise<Traffic> {
  const log = new KeyLog(await readFile(keyLog, 'utf8'));
  const evidence: Evidence[] = [];
  const requests: RecordedRequest[] = [];
  for (const [index, { target, sent, received }] of tunnels.entries()) {
    const raw = Buffer.concat(sent);
    const { handshake, applicationData } = decryptClient(raw, Buffer.concat(received), log);
    const own = await recordedRequests(applicationData);
    requests.push(...own);
    const place = `connection ${String(index)} to ${target}`;
    evidence.push(
      { place: `${place}, as sent`, bytes: raw },
      { place: `${place}, handshake`, bytes: handshake },
      { place: `${place}, plaintext`, bytes: applicationData },
      ...own.map(({ headers, data }) => ({
        place: `${place}, ${String(headers[':path'])}`,
        bytes: Buffer.concat([Buffer.from(JSON.stringify(headers)), data]),
      })),
    );
  }
  return { evidence, requests };
}

export interface OpenedUpdate {
  readonly place: string;
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
      const opener = openerFor(header, secrets);
      const chunks = messages.flatMap(({ chunk }) => (chunk ? [opener.open(chunk.index, chunk.data)] : []));
      const bytes = Buffer.concat(chunks);
      return { place: `update ${opener.header.uploadId}`, vector: bytesToFloat32(bytes), bytes };
    });
}

function openerFor(header: Uint8Array, secrets: readonly Uint8Array[]): EnvelopeOpener {
  for (const secret of secrets) {
    try {
      return new EnvelopeOpener(header, secret);
    } catch (error) {
      if (!(error instanceof TributaryError) || error.code !== 'UPDATE_CORRUPT') throw error;
    }
  }
  throw new Error('no key of a round opens an update that was sent');
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
