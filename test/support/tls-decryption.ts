import { createDecipheriv, createHmac } from 'node:crypto';

/*
 * What both ends of a connection sent over TLS 1.3 (RFC 8446), from the recorded bytes and the secrets that it logged
 * (draft-ietf-tls-keylogfile). Written for tests that must look below TLS; nothing in the product decrypts traffic.
 */

interface Suite {
  readonly hash: 'sha256' | 'sha384';
  readonly cipher: 'aes-128-gcm' | 'aes-256-gcm' | 'chacha20-poly1305';
  readonly keyBytes: number;
}

const SUITES: Readonly<Record<number, Suite>> = {
  0x1301: { hash: 'sha256', cipher: 'aes-128-gcm', keyBytes: 16 },
  0x1302: { hash: 'sha384', cipher: 'aes-256-gcm', keyBytes: 32 },
  0x1303: { hash: 'sha256', cipher: 'chacha20-poly1305', keyBytes: 32 },
};

const RECORD_HEADER_BYTES = 5;
const TAG_BYTES = 16;
const IV_BYTES = 12;
const CONTENT = { handshake: 22, applicationData: 23 } as const;
const HANDSHAKE = { finished: 20, keyUpdate: 24 } as const;

/** Secrets by label and client random, as `--tls-keylog` writes them. */
export class KeyLog {
  readonly #secrets = new Map<string, Buffer>();

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const [label, random, secret] = line.split(' ');
      if (secret !== undefined)
        this.#secrets.set(`${label ?? ''} ${random ?? ''}`, Buffer.from(secret, 'hex'));
    }
  }

  secret(label: string, clientRandom: Buffer): Buffer {
    const secret = this.#secrets.get(`${label} ${clientRandom.toString('hex')}`);
    if (secret === undefined) throw new Error(`the key log has no ${label} of this connection`);
    return secret;
  }
}

export interface Plaintext {
  /** Handshake messages after ServerHello: certificates among them. */
  readonly handshake: Buffer;
  readonly applicationData: Buffer;
}

/** Decrypts everything that the client of one connection sent; throws where a record does not verify. */
export function decryptClient(sent: Buffer, received: Buffer, log: KeyLog): Plaintext {
  return decryptSide('CLIENT', sent, { sent, received }, log);
}

/** Likewise of the server: what the client received. */
export function decryptServer(sent: Buffer, received: Buffer, log: KeyLog): Plaintext {
  return decryptSide('SERVER', received, { sent, received }, log);
}

function decryptSide(
  side: 'CLIENT' | 'SERVER',
  own: Buffer,
  { sent, received }: { readonly sent: Buffer; readonly received: Buffer },
  log: KeyLog,
): Plaintext {
  const hello = records(sent).find(({ type }) => type === CONTENT.handshake)?.body;
  if (hello === undefined || records(received).length === 0)
    return { handshake: Buffer.alloc(0), applicationData: Buffer.alloc(0) };
  const clientRandom = hello.subarray(6, 38);
  const suite = suiteOf(received);
  let keys = new TrafficKeys(suite, log.secret(`${side}_HANDSHAKE_TRAFFIC_SECRET`, clientRandom));
  let finished = false;
  const handshake: Buffer[] = [];
  const applicationData: Buffer[] = [];
  for (const record of records(own).filter(({ type }) => type === CONTENT.applicationData)) {
    const { type, content } = keys.open(record);
    if (type === CONTENT.applicationData) applicationData.push(content);
    if (type !== CONTENT.handshake) continue;
    handshake.push(content);
    // Before it is finished a message may be spread over records.
    const kinds = messageTypes(finished ? content : Buffer.concat(handshake));
    if (finished) keys = kinds.includes(HANDSHAKE.keyUpdate) ? keys.next() : keys;
    else if (kinds.includes(HANDSHAKE.finished)) {
      finished = true;
      keys = new TrafficKeys(suite, log.secret(`${side}_TRAFFIC_SECRET_0`, clientRandom));
    }
  }
  return { handshake: Buffer.concat(handshake), applicationData: Buffer.concat(applicationData) };
}

/** Keys of one direction, and the number of the next record. */
class TrafficKeys {
  readonly #suite: Suite;
  readonly #secret: Buffer;
  readonly #key: Buffer;
  readonly #iv: Buffer;
  #sequence = 0n;

  constructor(suite: Suite, secret: Buffer) {
    this.#suite = suite;
    this.#secret = secret;
    this.#key = expandLabel(suite, secret, 'key', suite.keyBytes);
    this.#iv = expandLabel(suite, secret, 'iv', IV_BYTES);
  }

  /** Keys after a KeyUpdate (RFC 8446, 7.2). */
  next(): TrafficKeys {
    return new TrafficKeys(
      this.#suite,
      expandLabel(this.#suite, this.#secret, 'traffic upd', this.#secret.length),
    );
  }

  /** The inner type is the last byte that is not padding (RFC 8446, 5.4). */
  open({ header, body }: TlsRecord): { readonly type: number; readonly content: Buffer } {
    const nonce = Buffer.from(this.#iv);
    const low = nonce.readBigUInt64BE(IV_BYTES - 8) ^ this.#sequence;
    nonce.writeBigUInt64BE(low, IV_BYTES - 8);
    this.#sequence += 1n;
    const decipher = createDecipheriv(this.#suite.cipher as 'aes-128-gcm', this.#key, nonce, {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(header);
    decipher.setAuthTag(body.subarray(body.length - TAG_BYTES));
    const inner = Buffer.concat([
      decipher.update(body.subarray(0, body.length - TAG_BYTES)),
      decipher.final(),
    ]);
    let end = inner.length - 1;
    while (inner[end] === 0) end -= 1;
    return { type: inner[end] ?? 0, content: inner.subarray(0, end) };
  }
}

/** HKDF-Expand-Label with an empty context; no output here is longer than one hash. */
function expandLabel({ hash }: Suite, secret: Buffer, label: string, length: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([
    Buffer.from([length >> 8, length & 0xff, name.length]),
    name,
    Buffer.from([0, 1]),
  ]);
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}

interface TlsRecord {
  readonly type: number;
  readonly header: Buffer;
  readonly body: Buffer;
}

/** Whole records; a connection that was cut may end within one. */
function records(bytes: Buffer): TlsRecord[] {
  const found: TlsRecord[] = [];
  for (let at = 0; at + RECORD_HEADER_BYTES <= bytes.length;) {
    const header = bytes.subarray(at, at + RECORD_HEADER_BYTES);
    const end = at + RECORD_HEADER_BYTES + header.readUInt16BE(3);
    if (end > bytes.length) break;
    found.push({ type: header[0] ?? 0, header, body: bytes.subarray(at + RECORD_HEADER_BYTES, end) });
    at = end;
  }
  return found;
}

/** ServerHello: 4 bytes of handshake header, 2 of version, 32 random, session id, then the suite. */
function suiteOf(received: Buffer): Suite {
  const hello = records(received).find(({ type }) => type === CONTENT.handshake)?.body;
  const at = 38 + 1 + (hello?.[38] ?? 0);
  const suite = SUITES[hello?.readUInt16BE(at) ?? 0];
  if (suite === undefined) throw new Error('the server did not choose a suite of TLS 1.3');
  return suite;
}

function messageTypes(content: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 4 <= content.length; at += 4 + content.readUIntBE(at + 1, 3))
    types.push(content[at] ?? 0);
  return types;
}
