import { TributaryError } from '@tributary/proto';

import type { ModelPointers, ModelRef, ModelStore } from '../../serving-ports.js';

/** Rejects with NOT_FOUND where a pointer names a version that the store lacks. */
export async function requirePointed(
  store: Pick<ModelStore, 'list'>,
  name: string,
  { current, lastGood }: ModelPointers,
): Promise<void> {
  const known = new Set((await store.list()).filter((ref) => ref.name === name).map((ref) => ref.version));
  for (const version of [current, lastGood])
    if (version !== undefined && !known.has(version)) throw unknownVersion({ name, version });
}

export const sameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, index) => byte === right[index]);

export const unknownVersion = ({ name, version }: ModelRef): TributaryError =>
  new TributaryError('NOT_FOUND', `the site does not have ${name}@${String(version)}`);

export const versionInUse = ({ name, version }: ModelRef): TributaryError =>
  new TributaryError('ALREADY_EXISTS', `the site has another ${name}@${String(version)}`, {
    hint: 'a registered version never changes: compare the coordinators that they come from',
  });

export const stillPointedAt = ({ name, version }: ModelRef): TributaryError =>
  new TributaryError('CONFLICT', `${name}@${String(version)} is served or the last good one`);
