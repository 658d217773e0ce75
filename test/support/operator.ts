import { readFile } from 'node:fs/promises';

import {
  canonicalize,
  decodeJoinToken,
  LIMITS,
  parseCanonical,
  parseFederatedJob,
  signDocument,
  signingKeyFromSeed,
  type FederatedJobInput,
  type JoinToken,
  type JsonObject,
  type SigningKey,
} from '@tributary/proto';
import { Admin, type AdminClient, type ApplyRequest } from '@tributary/proto/grpc';
import { parseContextFile } from '@tributary/coordinator/internal/cli/context-file.js';

import { adminClient, call } from './channels.js';
import type { LocalFederation } from './federation.js';
import { eventually } from './waiting.js';

/** What the ledger says of an object, as `describe` shows it. */
export interface ShownEvent {
  readonly type: string;
  readonly body: JsonObject;
}

/** The operator and author of a local federation, over one connection instead of one command per call. */
export class Operator {
  readonly admin: AdminClient;
  readonly author: SigningKey;

  private constructor(admin: AdminClient, author: SigningKey) {
    this.admin = admin;
    this.author = author;
  }

  static async of(federation: LocalFederation): Promise<Operator> {
    const { authors } = parseContextFile(
      await readFile(federation.contextFile, 'utf8'),
      federation.contextFile,
    );
    return new Operator(
      await adminClient(federation),
      signingKeyFromSeed(Buffer.from(authors[0]?.seed ?? '', 'base64')),
    );
  }

  /** A join token; the site is approved as soon as it joins unless `approve` is false. */
  async invite(
    site: string,
    options: {
      labels?: Record<string, string>;
      approve?: boolean;
      ttlSeconds?: number;
      kind?: 'Serving';
    } = {},
  ): Promise<JoinToken> {
    const { labels = {}, approve = true, ttlSeconds = 0, kind = '' } = options;
    const { token } = await call(this.admin, Admin.service, 'CreateInvitation', {
      site,
      labels,
      approve,
      ttlSeconds,
      kind,
    });
    return decodeJoinToken(token);
  }

  /** The message with which a document is applied, whether it is valid or not. */
  applyRequest(
    document: unknown,
    signer: Pick<SigningKey, 'sign'> & { readonly publicKey: Uint8Array } = this.author,
  ): ApplyRequest {
    return {
      document: Buffer.from(canonicalize(document as JsonObject)),
      authorKey: Buffer.from(signer.publicKey),
      signature: Buffer.from(signDocument(document as never, signer)),
    };
  }

  async apply(document: FederatedJobInput): Promise<void> {
    await call(this.admin, Admin.service, 'Apply', this.applyRequest(parseFederatedJob(document)));
  }

  async events(kind: string, name: string): Promise<readonly ShownEvent[]> {
    const { events } = await call(this.admin, Admin.service, 'DescribeObject', { kind, name });
    return events.map(({ type, body }) => ({
      type,
      body: parseCanonical(body, LIMITS.ledgerEntryBytes) as JsonObject,
    }));
  }

  /** Waits until the ledger holds an event of `type` about the job that `fits`. */
  event(
    name: string,
    type: string,
    fits: (body: JsonObject) => boolean = () => true,
    timeoutMs = 30_000,
  ): Promise<JsonObject> {
    const find = async (): Promise<JsonObject | undefined> => {
      const events = await this.events('FederatedJob', name);
      return events.find((event) => event.type === type && fits(event.body))?.body;
    };
    return eventually(`${type} of ${name}`, find, timeoutMs);
  }

  close(): void {
    this.admin.close();
  }
}
