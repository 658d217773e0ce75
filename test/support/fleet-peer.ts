import { createPrivateKey, X509Certificate } from 'node:crypto';

import { credentials, type ChannelCredentials } from '@grpc/grpc-js';
import {
  digestOf,
  encodeBase64,
  joinTokenKey,
  signingKeyFromSeed,
  transcript,
  WIRE_VERSIONS,
  type JoinToken,
  type SigningKey,
} from '@tributary/proto';
import {
  Enrolment,
  Fleet,
  fromServiceError,
  Ledger,
  type AgentMessage,
  type CoordinatorMessage__Output,
  type EnrollRequest,
  type EnrollResponse__Output,
  type FleetClient,
  type Hello,
  type LedgerClient,
  type Order__Output,
  type UploadMessage,
  type UploadReceipt__Output,
  type Welcome__Output,
} from '@tributary/proto/grpc';
import { tlsKeyMaker } from '@tributary/edge-agent/internal/adapters/tls/tls-keys.js';

import { call, enrolmentClient, localOptions, type Reachable } from './channels.js';
import type { LocalFederation } from './federation.js';
import type { Operator } from './operator.js';
import { openedBy, type PeerRound, type Uploader } from './peer-round.js';
import { eventually } from './waiting.js';

export interface PeerKeys {
  readonly identity: SigningKey;
  /** ECDSA P-256, PKCS #8 DER. */
  readonly privateKey: Uint8Array;
  readonly csr: Uint8Array;
}

let drawn = 0;

/** Keys of a new member; the identity key follows from how many were drawn, which keeps runs repeatable. */
export async function drawPeerKeys(): Promise<PeerKeys> {
  drawn += 1;
  const identity = signingKeyFromSeed(new Uint8Array(32).fill(drawn));
  return { identity, ...(await tlsKeyMaker.create()) };
}

/** Mutual TLS with a certificate that was issued for `privateKey` (PKCS #8 DER). Certificates are DER. */
export function certifiedTls(
  authority: Buffer,
  certificate: Buffer,
  privateKey: Uint8Array,
): ChannelCredentials {
  const key = createPrivateKey({ key: Buffer.from(privateKey), format: 'der', type: 'pkcs8' });
  const pem = (der: Buffer): Buffer => Buffer.from(new X509Certificate(der).toString());
  return credentials.createSsl(
    pem(authority),
    Buffer.from(key.export({ format: 'pem', type: 'pkcs8' })),
    pem(certificate),
  );
}

/** The message with which the holder of `token` and `keys` joins. */
export function enrolRequest(token: JoinToken, { identity, csr }: PeerKeys): EnrollRequest {
  const { tokenId } = token;
  const statement = transcript('enroll', {
    tokenId,
    identityKey: encodeBase64(identity.publicKey),
    csrDigest: digestOf(csr),
  });
  return {
    versions: [...WIRE_VERSIONS],
    tokenId,
    identityKey: Buffer.from(identity.publicKey),
    csr: Buffer.from(csr),
    tokenSignature: Buffer.from(joinTokenKey(token).sign(statement)),
    identitySignature: Buffer.from(identity.sign(statement)),
  };
}

/**
 * A member of a federation that speaks the wire protocol by hand: it says what a test wants, which need not be what an
 * agent would say.
 */
export class FleetPeer implements Uploader {
  readonly identity: SigningKey;
  readonly agentId: string;
  readonly site: string;
  readonly logId: string;
  readonly keys: PeerKeys;
  readonly tls: ChannelCredentials;
  readonly fleet: FleetClient;
  readonly ledger: LedgerClient;
  #epoch = 0;

  private constructor(keys: PeerKeys, answer: EnrollResponse__Output, fleetAddress: string) {
    this.keys = keys;
    this.identity = keys.identity;
    this.agentId = answer.agentId;
    this.site = answer.site;
    this.logId = answer.logId;
    this.tls = certifiedTls(answer.caCertificate, answer.certificate, keys.privateKey);
    this.fleet = new Fleet(fleetAddress, this.tls, localOptions());
    this.ledger = new Ledger(fleetAddress, this.tls, localOptions());
  }

  /** Invites `site` as the operator and joins as it, approved. */
  static async join(
    federation: LocalFederation,
    operator: Operator,
    site: string,
    labels: Record<string, string> = {},
  ): Promise<FleetPeer> {
    return FleetPeer.enrol(federation, await operator.invite(site, { labels }), await drawPeerKeys());
  }

  static async enrol(federation: Reachable, token: JoinToken, keys: PeerKeys): Promise<FleetPeer> {
    const client = await enrolmentClient(federation);
    try {
      const answer = await call(client, Enrolment.service, 'Enroll', enrolRequest(token, keys));
      return new FleetPeer(keys, answer, (await federation.addresses()).fleet);
    } finally {
      client.close();
    }
  }

  /** A correct first message of a stream; each has a higher session epoch than the one before. */
  hello(
    replaced: Partial<{
      versions: readonly string[];
      sessionEpoch: string;
      signer: Pick<SigningKey, 'sign'>;
    }> = {},
  ): Hello {
    this.#epoch += 1;
    const { versions = WIRE_VERSIONS, sessionEpoch = String(this.#epoch), signer = this.identity } = replaced;
    const spendLogHead = Buffer.alloc(0);
    const fields = {
      agentId: this.agentId,
      logId: this.logId,
      sessionEpoch,
      spendLogHead: encodeBase64(spendLogHead),
      versions,
    };
    const signature = Buffer.from(signer.sign(transcript('hello', fields)));
    return {
      versions: [...versions],
      software: 'peer/1',
      sessionEpoch,
      spendLogHead,
      backend: 'none',
      datasets: ['trial'],
      signature,
    };
  }

  connect(hello: Hello = this.hello()): PeerStream {
    return new PeerStream(this.fleet, hello);
  }

  /** Opens an upload to which the caller writes. */
  upload(): PeerUpload {
    return new PeerUpload(this.fleet);
  }

  /** Sends the messages of one upload; rejects with a TributaryError. */
  submit(messages: readonly UploadMessage[]): Promise<UploadReceipt__Output> {
    const upload = this.upload();
    for (const message of messages) upload.send(message);
    upload.end();
    return upload.receipt;
  }

  close(): void {
    this.fleet.close();
    this.ledger.close();
  }
}

/** One call of `SubmitUpdate`. */
export class PeerUpload {
  /** Rejects with a TributaryError. */
  readonly receipt: Promise<UploadReceipt__Output>;
  readonly #stream: ReturnType<FleetClient['SubmitUpdate']>;

  constructor(fleet: FleetClient) {
    let settle: (error: Error | null, receipt?: UploadReceipt__Output) => void = () => undefined;
    this.receipt = new Promise((resolve, reject) => {
      settle = (error, receipt) => {
        if (receipt === undefined) reject(fromServiceError(error ?? new Error('no receipt')));
        else resolve(receipt);
      };
    });
    this.#stream = fleet.SubmitUpdate({ deadline: new Date(Date.now() + 20_000) }, settle);
    // The answer tells what went wrong; that a write to an ended call fails too does not matter.
    this.#stream.on('error', () => undefined);
    this.receipt.catch(() => undefined);
  }

  send(message: UploadMessage): void {
    this.#stream.write(message);
  }

  end(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

/** An open `Connect` stream: what came so far, and a way to send anything. */
export class PeerStream {
  readonly received: CoordinatorMessage__Output[] = [];
  /** Called for each order as it comes. */
  onOrder: (order: Order__Output) => void = () => undefined;
  /** Why the stream ended; undefined while it is open. */
  ended: Error | 'closed' | undefined;
  readonly #stream: ReturnType<FleetClient['Connect']>;

  constructor(fleet: FleetClient, hello: Hello) {
    this.#stream = fleet.Connect();
    this.#stream.on('data', (message: CoordinatorMessage__Output) => {
      this.received.push(message);
      if (message.order) this.onOrder(message.order);
    });
    this.#stream.on('error', (error) => (this.ended ??= fromServiceError(error)));
    this.#stream.on('end', () => (this.ended ??= 'closed'));
    this.send({ hello });
  }

  send(message: AgentMessage): void {
    if (this.ended === undefined) this.#stream.write(message);
  }

  close(): void {
    this.#stream.cancel();
  }

  get orders(): readonly Order__Output[] {
    return this.received.flatMap(({ order }) => order ?? []);
  }

  /** Waits for an order that opens a round. `after`: a round of the same job that must have passed. */
  round(after = 0): Promise<PeerRound> {
    return eventually('an order to train', () => {
      if (this.ended !== undefined)
        throw this.ended === 'closed' ? new Error('the stream was closed') : this.ended;
      return this.orders.map(openedBy).find((round) => round !== undefined && round.opened.round > after);
    });
  }

  /** Waits for the answer to `hello`. */
  welcome(): Promise<Welcome__Output> {
    return eventually('the welcome', () => {
      if (this.ended !== undefined)
        throw this.ended === 'closed' ? new Error('the stream was closed') : this.ended;
      return this.received[0]?.welcome ?? undefined;
    });
  }

  /** Waits for the end of the stream. */
  end(): Promise<Error | 'closed'> {
    return eventually('the end of the stream', () => this.ended);
  }
}
