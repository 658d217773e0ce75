import { X509Certificate } from 'node:crypto';

import {
  encodeBase64,
  formatId,
  logIdOf,
  requireName,
  signingKeyFromSeed,
  decodeBase64,
  TributaryError,
} from '@tributary/proto';
import { writeDurably } from '@tributary/proto/node';

import {
  createDataDirectory,
  openDataDirectory,
  type DataPaths,
  type DirectoryIdentity,
} from '../adapters/data-directory.js';
import { formatAddress } from '../adapters/grpc/address.js';
import { CertificateAuthority, createAuthority } from '../adapters/pki/certificate-authority.js';
import { openStores, type Stores } from '../adapters/stores.js';
import { systemClock } from '../adapters/system/system-clock.js';
import { systemRandom } from '../adapters/system/system-random.js';
import { createVaultSigner } from '../adapters/system/vault-signer.js';
import { createSealingKey, requireSealingKey } from '../adapters/vault/sealing-key.js';
import { openFederation } from '../app/federation.js';
import { DEFAULT_ADMIN_PORT } from '../config.js';
import { contextFilePath, readContextFile, type Author } from '../cli/context-file.js';
import { VAULT_NAMES } from './core.js';
import { FIRST_OPERATOR, makeFirstContext, rememberContext, saveFirstContext } from './first-context.js';

export interface InitOptions {
  readonly data: string;
  readonly name: string;
  /** Names and addresses of the coordinator, the first being how agents reach it; none: this machine only. */
  readonly hosts: readonly string[];
  readonly sealKeyFile: string | undefined;
  readonly contextFile: string | undefined;
  /** Leave a directory that holds a federation as it is: what an init container asks for at every start. */
  readonly ifAbsent: boolean;
  readonly home: string;
  readonly print: (line: string) => void;
}

/** Creates a federation in an empty directory, whole or not at all, and the context of its first operator. */
export async function init(options: InitOptions): Promise<void> {
  const name = requireName(options.name, '--name');
  if (options.ifAbsent && (await holdsFederation(options.data))) {
    options.print(`${options.data} holds a federation already; nothing is done.`);
    return;
  }
  const contextFile = contextFilePath(options.contextFile, options.home);
  // Read before anything is made: a broken file of contexts must not leave a federation that nobody can reach.
  await readContextFile(contextFile);
  const hosts = [...new Set([...options.hosts, 'localhost', '127.0.0.1'])];
  let author: Author | undefined;
  await createDataDirectory(options.data, async (paths) => {
    const built = await build(paths, { name, hosts, sealKeyFile: options.sealKeyFile, contextFile });
    author = built.author;
    return built.identity;
  });
  const key =
    author === undefined ? '' : encodeBase64(signingKeyFromSeed(decodeBase64(author.seed, 'seed')).publicKey);
  for (const line of nextSteps(options, contextFile, author?.name ?? '', key)) options.print(line);
}

interface Plan {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly sealKeyFile: string | undefined;
  readonly contextFile: string;
}

async function holdsFederation(data: string): Promise<boolean> {
  try {
    await openDataDirectory(data);
    return true;
  } catch (error) {
    if (TributaryError.from(error).code === 'NOT_FOUND') return false;
    throw error;
  }
}

type Identity = Omit<DirectoryIdentity, 'formatVersion'>;

async function build(
  paths: DataPaths,
  plan: Plan,
): Promise<{ readonly identity: Identity; readonly author: Author }> {
  const random = systemRandom();
  const sealingKey =
    plan.sealKeyFile === undefined
      ? await createSealingKey(paths.sealKey, random)
      : await requireSealingKey(plan.sealKeyFile);
  const stores = await openStores(paths, { sealingKey });
  try {
    return await found(paths, stores, plan);
  } finally {
    await stores.close();
  }
}

async function found(
  paths: DataPaths,
  stores: Stores,
  { name, hosts, contextFile }: Plan,
): Promise<{ readonly identity: Identity; readonly author: Author }> {
  const clock = systemClock();
  const random = systemRandom();
  const federationId = formatId('fed', random.bytes(16));
  const material = await createAuthority(federationId, { clock, random });
  await stores.vault.put(VAULT_NAMES.authority, material.privateKey);
  await writeDurably(paths.authority, [Buffer.from(new X509Certificate(material.certificate).toString())]);
  const treeHeads = await createVaultSigner(stores.vault, VAULT_NAMES.treeHeads, random);
  const models = await createVaultSigner(stores.vault, VAULT_NAMES.models, random);
  const authority = await CertificateAuthority.open(material, federationId, { clock, random });
  const first = await makeFirstContext(authority);
  const federation = await openFederation({ store: stores.ledger, signer: treeHeads, clock });
  const asked = { now: clock.now(), actor: 'coordinator' };
  const logKey = encodeBase64(treeHeads.publicKey);
  const modelKey = encodeBase64(models.publicKey);
  await federation.execute({
    kind: 'create-federation',
    ...asked,
    federationId,
    name,
    logKey,
    modelKey,
    caDigest: authority.digest,
  });
  const { keyDigest } = first.issued;
  await federation.execute({
    kind: 'create-context',
    ...asked,
    context: FIRST_OPERATOR,
    role: 'admin',
    keyDigest,
  });
  await federation.close();
  const server = formatAddress(hosts[0] ?? 'localhost', DEFAULT_ADMIN_PORT);
  const { context, author } = await saveFirstContext(contextFile, name, server, authority, first, random);
  await rememberContext(paths.run, contextFile, context);
  const createdAt = new Date(asked.now).toISOString();
  return {
    identity: { federationId, name, logId: logIdOf(treeHeads.publicKey), names: [...hosts], createdAt },
    author,
  };
}

function nextSteps(
  { data, name }: InitOptions,
  contextFile: string,
  author: string,
  key: string,
): readonly string[] {
  return [
    `Federation ${name} is in ${data}.`,
    `Its admin context is current in ${contextFile}. Keep that file to yourself.`,
    `Jobs are signed by author ${author}; sites name this key in their policy: ${key}`,
    '',
    'Next:',
    `  tributary-coordinator serve --data ${data}`,
    '  tributary invite SITE           makes a join token for a site',
    '  tributary approve SITE          once its agent has joined',
    '  tributary apply -f JOB.yaml     submits a job',
  ];
}
