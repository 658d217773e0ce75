import { X509Certificate } from 'node:crypto';

import { digestOf, requireName, TributaryError } from '@tributary/proto';
import { stringify } from 'yaml';

import { openDataDirectory } from '../adapters/data-directory.js';
import { formatAddress } from '../adapters/grpc/address.js';
import { createContextThrough } from '../adapters/grpc/local-client.js';
import { createRequest, requestedKey } from '../adapters/pki/certificate-request.js';
import {
  contextFilePath,
  EMPTY_CONTEXT_FILE,
  readContextFile,
  requireNewName,
  withContext,
  writeContextFile,
} from '../cli/context-file.js';
import { DEFAULT_ADMIN_PORT } from '../config.js';
import type { Role } from '../domain/federation-state.js';
import { readAddresses } from './addresses.js';
import { openCore } from './core.js';

export interface ContextOptions {
  readonly data: string;
  readonly name: string;
  readonly role: Role;
  /** host:port of the admin listener; undefined: where the daemon listens, or listened last. */
  readonly server: string | undefined;
  readonly sealKeyFile: string | undefined;
  /** File to add the context to, or - to print a file with this context alone. */
  readonly contextFile: string | undefined;
  readonly home: string;
  readonly print: (line: string) => void;
}

/**
 * Makes a context without another one: who may read the data directory owns the federation, and is let in again when
 * every certificate has expired or is lost. By the daemon where one runs, otherwise in the directory; in the ledger
 * either way, as an act of the coordinator. Rejects with ALREADY_EXISTS where a context has the name.
 */
export async function context(options: ContextOptions): Promise<void> {
  const { data, role, print } = options;
  const name = requireName(options.name, 'name');
  const path = options.contextFile === '-' ? undefined : contextFilePath(options.contextFile, options.home);
  const held = path === undefined ? EMPTY_CONTEXT_FILE : await readContextFile(path);
  requireNewName(held, name);
  const { paths, identity } = await openDataDirectory(data);
  const addresses = await readAddresses(paths.run);
  const { csr, privateKeyPem: key } = await createRequest(name);
  const asked = { name, role, csr };
  const issued = (await byDaemon(addresses?.socket, asked)) ?? (await inDirectory(options, asked));
  const file = withContext(held, {
    name,
    server:
      options.server ??
      addresses?.admin ??
      formatAddress(identity.names[0] ?? 'localhost', DEFAULT_ADMIN_PORT),
    ca: new X509Certificate(issued.caCertificate).toString(),
    certificate: new X509Certificate(issued.certificate).toString(),
    key,
  });
  if (path === undefined) {
    print(stringify(file).trimEnd());
    return;
  }
  await writeContextFile(path, file);
  print(`Context ${name} with role ${role} is current in ${path}. Keep that file to yourself.`);
}

interface Asked {
  readonly name: string;
  readonly role: Role;
  readonly csr: Uint8Array;
}

/** DER, both. */
interface Issued {
  readonly certificate: Uint8Array;
  readonly caCertificate: Uint8Array;
}

/** Undefined where no daemon listens: addresses outlive the process that wrote them. */
async function byDaemon(socket: string | undefined, asked: Asked): Promise<Issued | undefined> {
  if (socket === undefined) return undefined;
  try {
    return await createContextThrough(socket, asked);
  } catch (error) {
    if (error instanceof TributaryError && error.code === 'UNAVAILABLE') return undefined;
    throw error;
  }
}

async function inDirectory(
  { data, sealKeyFile }: ContextOptions,
  { name, role, csr }: Asked,
): Promise<Issued> {
  const core = await openCore({ data, sealKeyFile, onFault: () => undefined });
  try {
    const { federation, authority, clock } = core;
    const keyDigest = digestOf(await requestedKey(csr));
    const asked = { now: clock.now(), actor: 'coordinator', context: name, role, keyDigest };
    await federation.execute({ kind: 'create-context', ...asked });
    const { certificate } = await authority.issueContext(name, csr);
    return { certificate, caCertificate: authority.certificate };
  } finally {
    await core.close();
  }
}
