import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/*
 * A name server on port 53, over UDP and TCP (RFC 1035): `name=address` arguments are its zone. It answers questions for
 * IPv4 addresses; other types of its names have no records, other names do not exist.
 */
const zone = new Map(process.argv.slice(2).map((pair) => pair.split('=', 2) as [string, string]));

const HEADER_BYTES = 12;
const TYPE_A = 1;
const NAME_ERROR = 3;

function answer(query: Buffer): Buffer {
  let at = HEADER_BYTES;
  const labels: string[] = [];
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(HEADER_BYTES, at + 5);
  const address = zone.get(labels.join('.').toLowerCase());
  const record = address !== undefined && type === TYPE_A ? recordOf(address) : Buffer.alloc(0);
  const header = Buffer.alloc(HEADER_BYTES);
  query.copy(header, 0, 0, 2);
  // A response, authoritative; recursion desired is said back.
  header.writeUInt16BE(
    0x8400 | (query.readUInt16BE(2) & 0x0100) | (address === undefined ? NAME_ERROR : 0),
    2,
  );
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(record.length > 0 ? 1 : 0, 6);
  return Buffer.concat([header, question, record]);
}

/** A record whose name is that of the question, for a minute. */
function recordOf(address: string): Buffer {
  const fixed = Buffer.from([0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4]);
  return Buffer.concat([fixed, Buffer.from(address.split('.').map(Number))]);
}

const udp = createSocket('udp4');
udp.on('message', (query, { port, address }) => udp.send(answer(query), port, address));
udp.bind(53);

createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (framed) => {
    const said = answer(framed.subarray(2));
    const length = Buffer.alloc(2);
    length.writeUInt16BE(said.length);
    socket.end(Buffer.concat([length, said]));
  });
}).listen(53);
