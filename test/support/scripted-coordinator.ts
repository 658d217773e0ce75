import {
  Server,
  ServerCredentials,
  status,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  CertificateAuthority,
  createAuthority,
} from '@tributary/coordinator/internal/adapters/pki/certificate-authority.js';
import { systemClock } from '@tributary/coordinator/internal/adapters/system/system-clock.js';
import { systemRandom } from '@tributary/coordinator/internal/adapters/system/system-random.js';
import type { RawOrder } from '@tributary/edge-agent/internal/coordinator-messages.js';
import {
  encodeJoinToken,
  encodeWeights,
  LIMITS,
  sha256,
  TributaryError,
  WIRE_VERSIONS,
  type JoinToken,
  type SignedTreeHead,
} from '@tributary/proto';
import {
  Enrolment,
  Fleet,
  Ledger,
  SERVER_NAME,
  serverOptions,
  toServiceError,
  type AgentMessage__Output,
  type CoordinatorMessage,
  type EnrolmentHandlers,
  type FleetHandlers,
  type LedgerHandlers,
  type UploadMessage__Output,
} from '@tributary/proto/grpc';

import { ScriptedLog, scriptedId, type ScriptedRound } from './scripted-log.js';

type Stream = ServerDuplexStream<AgentMessage__Output, CoordinatorMessage>;

/** An upload as it has arrived. */
export interface ScriptedUpload {
  header: Buffer;
  readonly chunks: Buffer[];
  /** Index of the first chunk of each stream: where the agent went on. */
  readonly begins: number[];
  sealed: boolean;
}

export const SITE = 'west';
const FEDERATION = scriptedId('fed', 'scripted');
export const AGENT_ID = scriptedId('agt', SITE);

/**
 * The coordinator's side of the wire over real gRPC and TLS, doing what a test says instead of what is right. State is
 * in the open.
 */
export class ScriptedCoordinator {
  readonly log = new ScriptedLog();
  readonly authority: CertificateAuthority;
  readonly uploads = new Map<string, ScriptedUpload>();
  readonly received: AgentMessage__Output[] = [];
  readonly streams = new Set<Stream>();
  readonly counts = { enroll: 0, renew: 0, connect: 0, submit: 0 };
  /** Wire versions of its welcomes, and of its answers to those who join. */
  version = WIRE_VERSIONS.at(-1) ?? '';
  enrolVersion = this.version;
  /** Milliseconds that agent certificates live. */
  certificateLifetimeMs = 24 * 3_600_000;
  approved = true;
  answersHeartbeats = true;
  /** The newest head with every answer to a heartbeat; proofs are asked for. */
  announcesHeads = false;
  /** Ends each upload stream after so many chunks; undefined ends none. */
  breakAfterChunks: number | undefined;
  /** Bytes of a blob after which the download breaks, once. */
  breakBlobAt: number | undefined;
  /** Answers instead of a welcome. */
  greet: ((stream: Stream) => void) | undefined;
  refuseUpload: TributaryError | undefined;
  /** Uploads are read to their end only after it. */
  uploadGate: Promise<void> = Promise.resolve();
  loseEnrolAnswer = false;
  blobs = new Map<string, Uint8Array>();
  fleetAddress = '';
  enrolAddress = '';
  #servers: Server[] = [];

  private constructor(authority: CertificateAuthority) {
    this.authority = authority;
  }

  static async start(): Promise<ScriptedCoordinator> {
    const surroundings = { clock: systemClock(), random: systemRandom() };
    const authority = await CertificateAuthority.open(
      await createAuthority(FEDERATION, surroundings),
      FEDERATION,
      surroundings,
    );
    const coordinator = new ScriptedCoordinator(authority);
    await coordinator.listen();
    return coordinator;
  }

  /** Listens, on the ports that it had before where it was stopped. */
  async listen(): Promise<void> {
    const { chainPem, privateKeyPem } = await this.authority.issueServer([SERVER_NAME, 'localhost']);
    const pair = [{ cert_chain: Buffer.from(chainPem), private_key: Buffer.from(privateKeyPem) }];
    const roots = Buffer.from(this.authority.certificatePem);
    // Without channelz grpc-js does not know its sessions, and forceShutdown leaves them open.
    const options = serverOptions({ 'grpc.enable_channelz': 1 });
    const [fleet, enrol] = [new Server(options), new Server(options)];
    fleet.addService(Fleet.service, this.#fleet());
    fleet.addService(Ledger.service, this.#ledger());
    enrol.addService(Enrolment.service, this.#enrolment());
    this.fleetAddress = await bind(fleet, this.fleetAddress, ServerCredentials.createSsl(roots, pair, true));
    this.enrolAddress = await bind(enrol, this.enrolAddress, ServerCredentials.createSsl(null, pair, false));
    this.#servers = [fleet, enrol];
  }

  stop(): void {
    for (const server of this.#servers) server.forceShutdown();
    this.streams.clear();
  }

  token(fields: Partial<JoinToken> = {}): JoinToken {
    return {
      tokenId: scriptedId('tok', SITE),
      site: SITE,
      seed: sha256(new TextEncoder().encode('token seed')),
      caDigest: this.authority.digest,
      enrolAddress: this.enrolAddress,
      ...fields,
    };
  }

  tokenText(fields: Partial<JoinToken> = {}): string {
    return encodeJoinToken(this.token(fields));
  }

  /** Opens a round of the one site and serves its base model. */
  openRound(options: Omit<Parameters<ScriptedLog['openRound']>[0], 'cohort'> = {}): ScriptedRound {
    const round = this.log.openRound({ ...options, cohort: [{ site: SITE, agentId: AGENT_ID }] });
    this.blobs.set(round.baseDigest, Buffer.concat([...encodeWeights(round.base)]));
    return round;
  }

  async sendOrder(name: string, seqs: readonly number[]): Promise<RawOrder> {
    const order = await this.log.order(name, seqs);
    this.send({ order: orderMessage(order) });
    return order;
  }

  send(message: CoordinatorMessage): void {
    for (const stream of this.streams) stream.write(message);
  }

  messages<K extends keyof AgentMessage__Output>(kind: K): NonNullable<AgentMessage__Output[K]>[] {
    return this.received.flatMap((message) => {
      const told = message[kind];
      return told === null || told === undefined ? [] : [told];
    });
  }

  #fleet(): FleetHandlers {
    const noStages = serviceError(new TributaryError('UPDATE_WRONG_ROUND', 'the round is not open'));
    return {
      SubmitStage: (_call, answer) => answer(noStages),
      GetStage: (_call, answer) => answer(noStages),
      Connect: (stream) => this.#connect(stream),
      FetchBlob: (stream) => {
        const { digest, offset } = stream.request;
        const blob = this.blobs.get(digest) ?? new Uint8Array(0);
        const end = this.breakBlobAt ?? blob.length;
        for (let at = Number(offset); at < end; at += LIMITS.chunkBytes) {
          stream.write({
            offset: String(at),
            data: blob.subarray(at, Math.min(end, at + LIMITS.chunkBytes)),
          });
        }
        if (this.breakBlobAt === undefined) stream.end();
        else stream.emit('error', serviceError(new TributaryError('UNAVAILABLE', 'broken on purpose')));
        this.breakBlobAt = undefined;
      },
      GetUploadStatus: (call, answer) => {
        const upload = this.uploads.get(call.request.uploadId);
        if (upload === undefined) answer(null, { state: 'UNKNOWN' });
        else if (upload.sealed) answer(null, { state: 'ACCEPTED', seq: '77' });
        else answer(null, { state: 'RECEIVING', nextChunk: upload.chunks.length });
      },
      SubmitUpdate: (stream, answer) => {
        this.counts.submit += 1;
        this.#receive(stream).then(
          (uploadId) => answer(null, { uploadId, seq: '77' }),
          (error: unknown) => answer(serviceError(error)),
        );
      },
    };
  }

  #connect(stream: Stream): void {
    this.counts.connect += 1;
    stream.on('error', () => undefined);
    stream.on('close', () => this.streams.delete(stream));
    stream.on('end', () => stream.end());
    stream.on('data', (message: AgentMessage__Output) => {
      this.received.push(message);
      if (message.hello)
        this.#welcome(stream, Number(message.hello.treeHead?.treeSize ?? 0)).catch(() => stream.end());
      else if (message.heartbeat && this.answersHeartbeats)
        this.#acknowledge(stream).catch(() => stream.end());
    });
  }

  async #acknowledge(stream: Stream): Promise<void> {
    if (!this.announcesHeads) {
      stream.write({ heartbeatAck: {} });
      return;
    }
    stream.write({ heartbeatAck: { treeHead: headMessage(await this.log.head()) } });
  }

  async #welcome(stream: Stream, known: number): Promise<void> {
    if (this.greet !== undefined) {
      this.greet(stream);
      return;
    }
    const head = await this.log.head();
    const consistency =
      known > 0 && known < head.treeSize ? await this.log.consistency(known, head.treeSize) : [];
    stream.write({
      welcome: {
        version: this.version,
        treeHead: headMessage(head),
        consistency,
        approved: this.approved,
        heartbeatIntervalMs: 1_000,
      },
    });
    this.streams.add(stream);
  }

  async #receive(stream: ServerReadableStream<UploadMessage__Output, unknown>): Promise<string> {
    let id = '';
    let streamed = 0;
    for await (const { header, chunk, seal } of stream as AsyncIterable<UploadMessage__Output>) {
      if (this.refuseUpload !== undefined) throw this.refuseUpload;
      if (header) {
        id = header.uploadId;
        const upload = this.uploads.get(id) ?? {
          header: header.header,
          chunks: [],
          begins: [],
          sealed: false,
        };
        if (!upload.header.equals(header.header))
          throw new TributaryError('UPLOAD_ID_REUSED', 'another header');
        this.uploads.set(id, upload);
      }
      const upload = this.uploads.get(id);
      if (upload === undefined) throw new TributaryError('INVALID_ARGUMENT', 'no header');
      if (chunk) {
        if (streamed === 0) upload.begins.push(chunk.index);
        upload.chunks[chunk.index] = Buffer.from(chunk.data);
        streamed += 1;
        if (streamed === this.breakAfterChunks) throw new TributaryError('UNAVAILABLE', 'broken on purpose');
      }
      if (seal) {
        await this.uploadGate;
        upload.sealed = true;
      }
    }
    return id;
  }

  #ledger(): LedgerHandlers {
    const unserved = (): never => {
      throw new Error('not scripted');
    };
    return {
      GetEntries: unserved,
      GetTreeHead: (_call, answer) => {
        this.log.head().then(
          (head) => answer(null, headMessage(head)),
          (error: unknown) => answer(serviceError(error)),
        );
      },
      GetInclusionProof: unserved,
      GetCosignatures: unserved,
      GetConsistencyProof: (call, answer) => {
        const [first, second] = [Number(call.request.first), Number(call.request.second)];
        this.log.consistency(first, second).then(
          (path) => answer(null, { first: String(first), second: String(second), path }),
          (error: unknown) => answer(serviceError(error)),
        );
      },
    };
  }

  #enrolment(): EnrolmentHandlers {
    return {
      Enroll: (call, answer) => {
        this.counts.enroll += 1;
        this.authority.issueAgent(AGENT_ID, call.request.csr, this.certificateLifetimeMs).then(
          ({ certificate }) => {
            if (this.loseEnrolAnswer) {
              this.loseEnrolAnswer = false;
              answer(serviceError(new TributaryError('UNAVAILABLE', 'lost on purpose')));
              return;
            }
            const { logId, key } = this.log;
            const names = {
              version: this.enrolVersion,
              agentId: AGENT_ID,
              site: SITE,
              logId,
              fleetAddress: this.fleetAddress,
            };
            answer(null, {
              ...names,
              certificate,
              caCertificate: this.authority.certificate,
              logKey: key.publicKey,
              modelKey: key.publicKey,
            });
          },
          (error: unknown) => answer(serviceError(error)),
        );
      },
      GetChallenge: (_call, answer) =>
        answer(null, { nonce: sha256(new Uint8Array(1)), expiresInMs: 60_000 }),
      Renew: (call, answer) => {
        this.counts.renew += 1;
        this.authority.issueAgent(AGENT_ID, call.request.csr, this.certificateLifetimeMs).then(
          ({ certificate }) => answer(null, { certificate, caCertificate: this.authority.certificate }),
          (error: unknown) => answer(serviceError(error)),
        );
      },
    };
  }
}

function serviceError(error: unknown): ServiceError {
  return Object.assign(toServiceError(error), { code: toServiceError(error).code ?? status.INTERNAL });
}

function headMessage({ logId, treeSize, rootHash, time, signature }: SignedTreeHead) {
  return { logId, treeSize: String(treeSize), rootHash, time, signature };
}

export function orderMessage({ orderId, treeHead, entries, remainingMs }: RawOrder) {
  return {
    orderId,
    treeHead: headMessage(treeHead),
    entries: entries.map(({ seq, entry, path }) => ({ seq: String(seq), entry, path: [...path] })),
    remainingMs,
  };
}

function bind(server: Server, address: string, credentials: ServerCredentials): Promise<string> {
  const target = address === '' ? '127.0.0.1:0' : address;
  return new Promise((resolve, reject) => {
    server.bindAsync(target, credentials, (error, port) => {
      if (error === null) resolve(`127.0.0.1:${String(port)}`);
      else reject(error);
    });
  });
}
