import { join } from 'node:path';

import {
  federationRoot,
  requireName,
  rootDigest,
  rotationOf,
  signRotation,
  TributaryError,
  type FederationRoot,
} from '@tributary/proto';
import { makeDirectory } from '@tributary/proto/node';
import { stringify } from 'yaml';

import { exists, readRootFile, readRotationFile, requireAbsent, writeJson } from '../federation/files.js';
import {
  createRootKey,
  readPublicKey,
  readRootKey,
  writePublicKey,
  type HeldKey,
} from '../federation/root-key.js';
import type { Session } from '../session.js';

interface KeyOptions {
  readonly out: string;
  readonly keyPassphraseFile?: string;
}

export interface InitOptions extends KeyOptions {
  readonly name: string;
  readonly threshold?: number;
  readonly keys: readonly string[];
}

/** Makes the root of a federation, with a key of its own or of keys that others hold. Nothing is asked of a coordinator. */
export async function initFederation(session: Session, options: InitOptions): Promise<void> {
  const { out, keys, keyPassphraseFile, threshold } = options;
  const name = requireName(options.name, '--name');
  const path = join(out, 'root.json');
  await makeDirectory(out);
  await requireAbsent(path);
  const held = keys.length > 0 ? await Promise.all(keys.map(readPublicKey)) : undefined;
  if (held === undefined && threshold !== undefined)
    throw new TributaryError('USAGE', '--threshold counts signatures of --keys; give both or neither');
  const members: readonly HeldKey[] = held ?? [
    await createRootKey(join(out, 'root.key'), 'root', keyPassphraseFile),
  ];
  const root = federationRoot({ name, threshold: threshold ?? majority(members.length), keys: [...members] });
  await writeJson(path, root);
  session.terminal.out(pinText(root));
  session.terminal.note(
    `Wrote ${path}, digest ${rootDigest(root)}. Sites put the text above into their policy.`,
  );
  if (held === undefined) noteKey(session, join(out, 'root.key'), keyPassphraseFile);
  session.terminal.note(`Next: tributary federation roster init -f ${join(out, 'roster.json')}`);
}

/** More than half: neither half of a consortium decides alone. */
const majority = (keys: number): number => Math.floor(keys / 2) + 1;

/** Makes one key of a root that several hold. */
export async function createKey(session: Session, name: string, options: KeyOptions): Promise<void> {
  const { out, keyPassphraseFile } = options;
  const path = join(out, `${requireName(name, 'name')}.key`);
  await makeDirectory(out);
  const held = await createRootKey(path, name, keyPassphraseFile);
  await writePublicKey(join(out, `${name}.pub`), held);
  session.terminal.out(held.key);
  noteKey(session, path, keyPassphraseFile);
  session.terminal.note(
    `Give ${join(out, `${name}.pub`)} to whoever runs: tributary federation init --threshold M --keys A.pub,B.pub,…`,
  );
}

export interface RotateOptions {
  readonly from: string;
  readonly to: string;
  readonly key: string;
  readonly keyPassphraseFile?: string;
  readonly filename: string;
}

/** Signs the hand-over from one root to another, or adds a signature to it. */
export async function rotate(session: Session, options: RotateOptions): Promise<void> {
  const [previous, next] = [await readRootFile(options.from), await readRootFile(options.to)];
  if (previous.name !== next.name)
    throw new TributaryError('USAGE', `${next.name} is another federation than ${previous.name}`);
  const fresh = rotationOf(previous, next);
  const begun = (await exists(options.filename)) ? await readRotationFile(options.filename) : fresh;
  const { rotation } = begun;
  if (
    rootDigest(rotation.previous) !== rootDigest(previous) ||
    rootDigest(rotation.root) !== rootDigest(next)
  )
    throw new TributaryError('CONFLICT', `${options.filename} is a hand-over between other roots`);
  const key = await readRootKey(options.key, options.keyPassphraseFile);
  requireHolder(previous, key);
  const signed = signRotation(begun, key.signing);
  await writeJson(options.filename, signed);
  session.terminal.out(
    `${options.filename}: ${String(signed.signatures.length)} of ${String(previous.threshold)} signatures`,
  );
  session.terminal.note(
    `Then publish a roster of the new root: tributary federation roster publish --rotation ${options.filename}`,
  );
}

/** Throws SIGNATURE_INVALID where the key would sign in vain. */
export function requireHolder(root: FederationRoot, { name, key }: HeldKey): void {
  if (root.keys.some((one) => one.key === key)) return;
  throw new TributaryError('SIGNATURE_INVALID', `key ${name} (${key}) is none of the root ${root.name}`, {
    hint: `keys of the root: ${root.keys.map((one) => `${one.name} (${one.key})`).join(', ')}`,
  });
}

/** What a site policy says under `spec` to pin a root. */
export function pinText({ name, threshold, keys }: FederationRoot): string {
  return stringify({ federation: { root: { name, threshold, keys } } }).trimEnd();
}

function noteKey(session: Session, path: string, passphraseFile: string | undefined): void {
  session.terminal.note(
    passphraseFile === undefined
      ? `${path} is not sealed: keep it on a medium that is offline, or make it with --key-passphrase-file.`
      : `${path} is sealed with the passphrase. Keep it offline; without the passphrase it is lost.`,
  );
}
