import { performServerHandshake, type IncomingHttpHeaders } from 'node:http2';
import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** One request of a recorded HTTP/2 connection (RFC 9113). */
export interface RecordedRequest {
  readonly stream: number;
  readonly headers: IncomingHttpHeaders;
  /** All its DATA, joined. */
  readonly data: Buffer;
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAME_HEADER_BYTES = 9;
const FRAME = { data: 0, headers: 1, settings: 4, continuation: 9 } as const;
const FLAG = { ack: 1, padded: 8 } as const;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
  readonly bytes: Buffer;
}

/** Requests in what a client sent; none where it did not speak HTTP/2. */
export async function recordedRequests(sent: Buffer): Promise<readonly RecordedRequest[]> {
  if (!sent.subarray(0, PREFACE.length).equals(PREFACE)) return [];
  const frames = framesOf(sent.subarray(PREFACE.length));
  const headers = await headersOf(frames);
  return [...headers].map(([stream, fields]) => ({ stream, headers: fields, data: dataOf(frames, stream) }));
}

/** All DATA of the answers in what a server sent, by stream. */
export function recordedAnswers(received: Buffer): ReadonlyMap<number, Buffer> {
  const frames = framesOf(received);
  const streams = new Set(frames.filter(({ type }) => type === FRAME.data).map(({ stream }) => stream));
  return new Map([...streams].map((stream) => [stream, dataOf(frames, stream)]));
}

/** Messages of a gRPC request: a flag and a length before each. */
export function grpcMessages(data: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= data.length;) {
    const end = at + 5 + data.readUInt32BE(at + 1);
    if (end > data.length) break;
    messages.push(data.subarray(at + 5, end));
    at = end;
  }
  return messages;
}

function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length;) {
    const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
    if (end > bytes.length) break;
    const [type = 0, flags = 0] = bytes.subarray(at + 3, at + 5);
    const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    frames.push({
      type,
      flags,
      stream,
      payload: bytes.subarray(at + FRAME_HEADER_BYTES, end),
      bytes: bytes.subarray(at, end),
    });
    at = end;
  }
  return frames;
}

function dataOf(frames: readonly Frame[], stream: number): Buffer {
  const own = frames.filter((frame) => frame.type === FRAME.data && frame.stream === stream);
  return Buffer.concat(
    own.map(({ flags, payload }) =>
      (flags & FLAG.padded) === 0 ? payload : payload.subarray(1, payload.length - (payload[0] ?? 0)),
    ),
  );
}

/** Header fields are compressed against those before them (RFC 7541): Node's own HTTP/2 server reads them. */
async function headersOf(frames: readonly Frame[]): Promise<ReadonlyMap<number, IncomingHttpHeaders>> {
  const found = new Map<number, IncomingHttpHeaders>();
  const wire = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
  const session = performServerHandshake(wire);
  session.on('error', () => undefined);
  session.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    found.set(stream.id ?? 0, headers);
  });
  const opening = frames.filter(
    ({ type, flags }) =>
      type === FRAME.headers ||
      type === FRAME.continuation ||
      (type === FRAME.settings && (flags & FLAG.ack) === 0),
  );
  wire.push(Buffer.concat([PREFACE, ...opening.map(({ bytes }) => bytes)]));
  const expected = opening.filter(({ type }) => type === FRAME.headers).length;
  for (let turn = 0; found.size < expected && turn < 100; turn++) await sleep(5);
  session.destroy();
  if (found.size !== expected)
    throw new Error(`${String(found.size)} of ${String(expected)} header blocks could be read`);
  return found;
}
