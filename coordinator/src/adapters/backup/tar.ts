import { TributaryError } from '@tributary/proto';

/*
 * Writing POSIX tar (ustar, IEEE Std 1003.1-1988): plain files of the owner with times of zero, so that the same content
 * gives the same bytes. Written here because a generator is read at the reader's pace and ends with the reader.
 */

const BLOCK_BYTES = 512;
const NAME_BYTES = 100;
/** The size has eleven octal digits. */
const LARGEST_MEMBER = 8 ** 11 - 1;

export function tarHeader(name: string, size: number): Buffer {
  if (Buffer.byteLength(name) > NAME_BYTES || size > LARGEST_MEMBER) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `${name} of ${String(size)} bytes does not fit into a tar header`,
    );
  }
  const header = Buffer.alloc(BLOCK_BYTES);
  header.write(name, 0);
  header.write('0000600\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  // The checksum counts as spaces while it is being computed.
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\x0000', 257);
  const checksum = header.reduce((sum, byte) => sum + byte, 0);
  header.write(`${checksum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

/** Zeros that fill a member's last block. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** Two blocks of zeros end an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK_BYTES);
}
