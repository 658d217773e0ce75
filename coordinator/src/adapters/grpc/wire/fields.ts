import { isErrorCode, LIMITS, printable, TributaryError, type ErrorCode } from '@tributary/proto';

/** INVALID_ARGUMENT that names the field. */
export function invalid(field: string, expected: string): TributaryError {
  return new TributaryError('INVALID_ARGUMENT', `${field}: expected ${expected}`, { fields: { field } });
}

/** The bytes of a field, exactly `length` of them where it is given, at most `most` otherwise. */
export function requireBytes(
  bytes: Uint8Array,
  field: string,
  size: { readonly exactly: number } | { readonly most: number },
): Uint8Array {
  if ('exactly' in size) {
    if (bytes.length === size.exactly) return bytes;
    throw invalid(field, `${String(size.exactly)} bytes, not ${String(bytes.length)}`);
  }
  if (bytes.length > 0 && bytes.length <= size.most) return bytes;
  throw invalid(field, `1 to ${String(size.most)} bytes, not ${String(bytes.length)}`);
}

/** Text of at most `most` characters, without control characters; it may be empty. What turns the direction of text becomes a blank. */
export function requireText(text: string, field: string, most: number = LIMITS.nameLength): string {
  if (text.length > most || /\p{Cc}/u.test(text))
    throw invalid(field, `at most ${String(most)} printable characters`);
  return printable(text.toWellFormed());
}

/** A list of at most `most` members. */
export function requireList<Member>(list: readonly Member[], field: string, most: number): readonly Member[] {
  if (list.length > most) throw invalid(field, `at most ${String(most)} members, not ${String(list.length)}`);
  return list;
}

/** A uint64 that loses nothing as a number. The loader hands 64-bit numbers over as decimal text. */
export function requireSafeInteger(text: string, field: string): number {
  const value = Number(text);
  if (/^[0-9]{1,16}$/.test(text) && Number.isSafeInteger(value)) return value;
  throw invalid(field, 'an unsigned number below 2^53');
}

/** A uint64. */
export function requireUint64(text: string, field: string): bigint {
  if (/^[0-9]{1,20}$/.test(text)) return BigInt(text);
  throw invalid(field, 'an unsigned 64-bit number');
}

/** A code of the error table. */
export function requireErrorCode(text: string, field: string): ErrorCode {
  if (isErrorCode(text)) return text;
  throw invalid(field, 'a code of the error table');
}
