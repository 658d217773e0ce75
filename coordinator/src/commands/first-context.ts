import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { encodeBase64 } from '@tributary/proto';
import { makeDirectory, writeDurably } from '@tributary/proto/node';
import { z } from 'zod';

import type { CertificateAuthority, IssuedCertificate } from '../adapters/pki/certificate-authority.js';
import { createRequest } from '../adapters/pki/certificate-request.js';
import {
  findContext,
  readContextFile,
  withAuthor,
  withContext,
  writeContextFile,
  type Author,
  type ContextFile,
} from '../cli/context-file.js';
import type { Random } from '../ports.js';

/** Name of the first operator, in the federation and as an author of jobs. */
export const FIRST_OPERATOR = 'admin';

const POINTER = 'operator.json';
const pointerSchema = z.object({ file: z.string(), context: z.string() });

export interface FirstContext {
  readonly privateKeyPem: string;
  readonly issued: IssuedCertificate;
}

/** A key and an admin certificate for the person who creates the federation. */
export async function makeFirstContext(authority: CertificateAuthority): Promise<FirstContext> {
  const { csr, privateKeyPem } = await createRequest(FIRST_OPERATOR);
  return { privateKeyPem, issued: await authority.issueContext(FIRST_OPERATOR, csr) };
}

export interface SavedContext {
  /** Name in the file: that of the federation, with a number where another federation has it already. */
  readonly context: string;
  readonly author: Author;
}

/**
 * Adds the context to the operator's file and makes it current, with an author key where the file has none yet: one
 * person signs jobs for all federations with the same key.
 */
export async function saveFirstContext(
  file: string,
  name: string,
  server: string,
  authority: CertificateAuthority,
  { privateKeyPem: key, issued }: FirstContext,
  random: Random,
): Promise<SavedContext> {
  const held = await readContextFile(file);
  const author = held.authors[0] ?? { name: FIRST_OPERATOR, seed: encodeBase64(random.bytes(32)) };
  const certificate = new X509Certificate(issued.certificate).toString();
  const context = { name: freeName(held, name), server, ca: authority.certificatePem, certificate, key };
  await writeContextFile(file, withAuthor(withContext(held, context), author));
  return { context: context.name, author };
}

/** A context that goes missing is a federation that cannot be reached any more: none is ever replaced here. */
function freeName({ contexts }: ContextFile, name: string): string {
  const taken = new Set(contexts.map((context) => context.name));
  let free = name;
  for (let count = 2; taken.has(free); count += 1) free = `${name}-${String(count)}`;
  return free;
}

/** Remembers where the first context is, for {@link followAddress}. */
export async function rememberContext(run: string, file: string, context: string): Promise<void> {
  await makeDirectory(run);
  await writeDurably(join(run, POINTER), [
    Buffer.from(`${JSON.stringify({ formatVersion: 1, file, context }, undefined, 2)}\n`),
  ]);
}

/**
 * Keeps the address in the first context current when the daemon listens elsewhere than `init` could know (`--admin-port`,
 * port 0). Only on the machine, and for the user, that ran `init`; anything in the way is not this daemon's business.
 */
export async function followAddress(run: string, admin: string): Promise<boolean> {
  try {
    const pointer = pointerSchema.parse(JSON.parse(await readFile(join(run, POINTER), 'utf8')));
    const held = await readContextFile(pointer.file);
    const known = findContext(held, pointer.context);
    if (known.server === admin) return false;
    const contexts = held.contexts.map((context) =>
      context.name === known.name ? { ...context, server: admin } : context,
    );
    await writeContextFile(pointer.file, { ...held, contexts });
    return true;
  } catch {
    return false;
  }
}
