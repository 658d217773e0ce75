import { ED25519, signingKeyFromSeed, TributaryError } from '@tributary/proto';

import type { KeyVault, Random, Signer } from '../../ports.js';

/** Draws the seed of a new Ed25519 key, stores it sealed under `name`, and only then uses it. */
export async function createVaultSigner(vault: KeyVault, name: string, random: Random): Promise<Signer> {
  if ((await vault.get(name)) !== undefined) throw new TributaryError('ALREADY_EXISTS', `key ${name} exists`);
  const seed = random.bytes(ED25519.seedBytes);
  await vault.put(name, seed);
  return takeSeed(seed);
}

/** The Ed25519 key whose seed the vault holds under `name`; throws STORE_CORRUPT where there is none. */
export async function openVaultSigner(vault: KeyVault, name: string): Promise<Signer> {
  const seed = await vault.get(name);
  if (seed === undefined) {
    throw new TributaryError('STORE_CORRUPT', `the key vault holds no key ${name}`, {
      hint: 'restore a backup',
    });
  }
  return takeSeed(seed);
}

function takeSeed(seed: Uint8Array): Signer {
  const key = signingKeyFromSeed(seed);
  seed.fill(0);
  return key;
}
