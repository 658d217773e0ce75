import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { logIdOf, TributaryError } from '@tributary/proto';

import {
  openDataDirectory,
  type DataDirectory,
  type DataPaths,
  type DirectoryIdentity,
} from '../adapters/data-directory.js';
import { CertificateAuthority } from '../adapters/pki/certificate-authority.js';
import { openStores, type Stores } from '../adapters/stores.js';
import { systemClock } from '../adapters/system/system-clock.js';
import { systemRandom } from '../adapters/system/system-random.js';
import { openVaultSigner } from '../adapters/system/vault-signer.js';
import { requireSealingKey } from '../adapters/vault/sealing-key.js';
import { Cosignatures } from '../app/cosignatures.js';
import { openFederation, type Federation } from '../app/federation.js';
import type { Clock, Random, Signer } from '../ports.js';

/** Names of the coordinator's own keys in the vault. */
export const VAULT_NAMES = Object.freeze({ authority: 'ca', treeHeads: 'tree-head', models: 'model' });

export interface CoreOptions {
  readonly data: string;
  /** Undefined: the key that lies in the data directory. */
  readonly sealKeyFile: string | undefined;
  readonly onFault: (error: unknown) => void;
  /** That of the machine unless given. */
  readonly clock?: Clock;
}

/** The opened data directory: everything that `serve` and an offline backup share. */
export interface Core {
  readonly directory: DataDirectory;
  readonly stores: Stores;
  readonly federation: Federation;
  readonly cosignatures: Cosignatures;
  readonly authority: CertificateAuthority;
  readonly modelSigner: Signer;
  readonly clock: Clock;
  readonly random: Random;
  close(): Promise<void>;
}

/** Rejects with NOT_FOUND, CONFIG_INVALID, STORE_LOCKED, STORE_CORRUPT, SEAL_BROKEN, FORMAT_UNSUPPORTED. */
export async function openCore({
  data,
  sealKeyFile,
  onFault,
  clock = systemClock(),
}: CoreOptions): Promise<Core> {
  const directory = await openDataDirectory(data);
  const { paths, identity } = directory;
  const sealingKey = await requireSealingKey(sealKeyFile ?? paths.sealKey);
  const random = systemRandom();
  const stores = await openStores(paths, { sealingKey });
  try {
    const treeHeadSigner = await openVaultSigner(stores.vault, VAULT_NAMES.treeHeads);
    const modelSigner = await openVaultSigner(stores.vault, VAULT_NAMES.models);
    const federation = await openFederation({ store: stores.ledger, signer: treeHeadSigner, clock, onFault });
    const cosignatures = await Cosignatures.open({ store: stores.ledger, federation, clock, onFault });
    const authority = await openAuthority(paths, stores, identity.federationId, { clock, random });
    requireSame(federation, identity, logIdOf(treeHeadSigner.publicKey), data);
    requireFounding(federation, authority, paths.authority);
    const close = async (): Promise<void> => {
      await cosignatures.close();
      await federation.close();
      await stores.close();
    };
    return { directory, stores, federation, cosignatures, authority, modelSigner, clock, random, close };
  } catch (error) {
    await stores.close();
    throw error;
  }
}

async function openAuthority(
  paths: DataPaths,
  { vault }: Stores,
  federationId: string,
  surroundings: { readonly clock: Clock; readonly random: Random },
): Promise<CertificateAuthority> {
  const privateKey = await vault.get(VAULT_NAMES.authority);
  if (privateKey === undefined)
    throw new TributaryError('STORE_CORRUPT', `the vault holds no key of the certificate authority`);
  const certificate = await readCertificate(paths.authority);
  return CertificateAuthority.open({ certificate, privateKey }, federationId, surroundings);
}

async function readCertificate(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(new X509Certificate(await readFile(path)).raw);
  } catch (cause) {
    throw new TributaryError('STORE_CORRUPT', `${path}: the certificate of the authority cannot be read`, {
      cause,
      hint: 'restore a backup',
    });
  }
}

function requireSame(
  federation: Federation,
  { federationId, logId }: DirectoryIdentity,
  signs: string,
  data: string,
): void {
  if (federation.state.federation?.federationId === federationId && logId === signs) return;
  throw new TributaryError(
    'STORE_CORRUPT',
    `${data}: coordinator.json and the ledger are of different federations`,
    {
      hint: 'restore a backup',
    },
  );
}

/** Agents and operators trust the certificate that the ledger names: another one, if only by a bit, reaches nobody. */
function requireFounding(federation: Federation, { digest }: CertificateAuthority, path: string): void {
  if (federation.state.federation?.caDigest === digest) return;
  throw new TributaryError(
    'STORE_CORRUPT',
    `${path}: not the certificate that the federation was made with`,
    {
      hint: 'restore a backup',
    },
  );
}
