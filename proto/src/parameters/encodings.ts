import { TributaryError } from '../errors/tributary-error.js';

/** Encodings of an update vector that the protocol names. */
export const ENCODINGS = ['f32', 'bf16', 'int8', 'topk', 'ring'] as const;

export type Encoding = (typeof ENCODINGS)[number];

/** Those that this version reads and writes. */
export const SERVED_ENCODINGS = ['f32', 'ring'] as const satisfies readonly Encoding[];

export type ServedEncoding = (typeof SERVED_ENCODINGS)[number];

/** Checks the name of an encoding: DOCUMENT_UNSUPPORTED for a known one not served yet, INVALID_ARGUMENT otherwise. */
export function requireEncoding(name: string): ServedEncoding {
  const served = SERVED_ENCODINGS.find((encoding) => encoding === name);
  if (served !== undefined) return served;
  if (ENCODINGS.some((encoding) => encoding === name)) {
    throw new TributaryError(
      'DOCUMENT_UNSUPPORTED',
      `encoding ${name} is not served by this version; use ${SERVED_ENCODINGS.join(', ')}`,
      {
        fields: { field: 'encoding' },
      },
    );
  }
  throw new TributaryError('INVALID_ARGUMENT', `encoding: one of ${ENCODINGS.join(', ')}`, {
    fields: { field: 'encoding' },
  });
}
