import { TributaryError } from '@tributary/proto';

/** Bytes of a packet that say which it is: fixed header, topic and packet identifier. */
const HEAD_BYTES = 5 + 2 + 0xffff + 2;

export interface FrameHandler {
  /** One whole packet: a view that holds until the next read. */
  frame(packet: Buffer): void;
  /** The first bytes of a packet over the limit, whose rest is thrown away. */
  oversized(head: Buffer): void;
}

/**
 * Cuts a byte stream into control packets (OASIS MQTT 5.0, 2.1), holding one incomplete packet of `limit` bytes at most.
 */
export class FrameReader {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #held = 0;
  /** Bytes without which nothing more can be said. */
  #needed = 2;
  #skip = 0;

  constructor(limit: number) {
    this.#limit = Math.max(limit, HEAD_BYTES);
  }

  /** Throws INVALID_ARGUMENT for what is no packet; the connection is then beyond repair. */
  read(chunk: Buffer, handler: FrameHandler): void {
    const rest = this.#unskipped(chunk);
    if (rest.length === 0) return;
    this.#parts.push(rest);
    this.#held += rest.length;
    if (this.#held < this.#needed) return;
    const bytes = this.#parts.length === 1 ? rest : Buffer.concat(this.#parts, this.#held);
    const left = bytes.subarray(this.#cut(bytes, handler));
    this.#parts = left.length === 0 ? [] : [left];
    this.#held = left.length;
  }

  /** Gives the whole packets of `bytes` on; returns where the first incomplete one begins. */
  #cut(bytes: Buffer, handler: FrameHandler): number {
    let offset = 0;
    for (;;) {
      const left = bytes.length - offset;
      const size = packetSize(bytes, offset);
      this.#needed = size === undefined ? left + 1 : size > this.#limit ? HEAD_BYTES : size;
      if (size === undefined || left < this.#needed) return offset;
      if (size <= this.#limit) handler.frame(bytes.subarray(offset, offset + size));
      else {
        handler.oversized(bytes.subarray(offset, offset + HEAD_BYTES));
        this.#skip = Math.max(0, size - left);
      }
      offset = Math.min(offset + size, bytes.length);
    }
  }

  #unskipped(chunk: Buffer): Buffer {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    return chunk.subarray(skipped);
  }
}

/** Bytes of the packet that begins at `offset`, or undefined where its header is not there yet. */
function packetSize(bytes: Buffer, offset: number): number | undefined {
  let length = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[offset + 1 + index];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return 2 + index + length;
  }
  throw new TributaryError('INVALID_ARGUMENT', 'the broker sent a packet length of more than four bytes');
}
