import assert from 'node:assert/strict';

import { FrameReader } from '@tributary/edge-agent/internal/adapters/mqtt/frame-reader.js';
import { PacketCodec, publishHead } from '@tributary/edge-agent/internal/adapters/mqtt/packets.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const LIMIT = 70_000;
const codec = new PacketCodec('V5');

const publish = (bytes: number, qos: 0 | 1, id: number): Buffer =>
  codec.publish(qos === 1 ? id : undefined, {
    topic: 'site/a',
    payload: Buffer.alloc(bytes, id),
    qos,
    retain: false,
    properties: {},
  });

function readAll(reader: FrameReader, chunks: Iterable<Buffer>): (Buffer | { readonly id?: number })[] {
  const seen: (Buffer | { readonly id?: number })[] = [];
  for (const chunk of chunks) {
    reader.read(chunk, {
      frame: (packet) => seen.push(Buffer.from(packet)),
      oversized: (head) => {
        const id = publishHead(head)?.messageId;
        seen.push(id === undefined ? {} : { id });
      },
    });
  }
  return seen;
}

function* cutAt(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let offset = 0;
  for (let index = 0; offset < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? 1;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

describe('FrameReader', () => {
  it('cuts packets the same however the bytes arrive, and skips what is too large', () => {
    const message = fc.record({
      bytes: fc.oneof(fc.nat(300), fc.integer({ min: 60_000, max: 200_000 })),
      qos: fc.constantFrom(0 as const, 1 as const),
      id: fc.integer({ min: 1, max: 65_535 }),
    });
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 500, max: 90_000 })), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), sizes, (messages, cuts) => {
        const packets = messages.map(({ bytes, qos, id }) => publish(bytes, qos, id));
        const expected = packets.map((packet, index) => {
          if (packet.length <= LIMIT) return packet;
          const { qos, id } = messages[index] ?? { qos: 0, id: 0 };
          return qos === 1 ? { id } : {};
        });
        assert.deepEqual(readAll(new FrameReader(LIMIT), cutAt(Buffer.concat(packets), cuts)), expected);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a length that never ends', () => {
    const bytes = Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]);
    assert.throws(() => readAll(new FrameReader(LIMIT), [bytes]), refusal('INVALID_ARGUMENT'));
  });
});

describe('PacketCodec', () => {
  it('reads what it is given or refuses it, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 60 }),
        fc.integer({ min: 0, max: 255 }),
        (rest, first) => {
          const frame = Buffer.concat([Buffer.from([first, rest.length]), rest]);
          for (const protocol of ['V3', 'V5'] as const) {
            const fresh = new PacketCodec(protocol);
            try {
              assert.equal(typeof fresh.decode(frame).cmd, 'string');
            } catch (error) {
              assert.ok(refusal('INVALID_ARGUMENT')(error), String(error));
            }
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
