import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';

import { TributaryError } from '@tributary/proto';

import { hostOfAddress } from '../adapters/grpc/address.js';
import type { ServeConfig } from '../config.js';
import type { TlsIdentity } from './served-certificates.js';

export type TunnelFiles = Pick<ServeConfig, 'tunnelAddress' | 'tunnelCertFile' | 'tunnelKeyFile'>;

/**
 * The certificate of tunnels from the files that were named; undefined where none were, and they take that of the
 * federation. Rejects with CONFIG_INVALID where the two do not belong together, or are not for the host of tunnels.
 */
export async function readTunnelIdentity(files: TunnelFiles): Promise<TlsIdentity | undefined> {
  const { tunnelAddress, tunnelCertFile, tunnelKeyFile } = files;
  if ((tunnelCertFile === '') !== (tunnelKeyFile === ''))
    throw new TributaryError('CONFIG_INVALID', '--tunnel-cert-file and --tunnel-key-file go together');
  if (tunnelCertFile === '') return undefined;
  const [certificate, key] = [await readPem(tunnelCertFile), await readPem(tunnelKeyFile)];
  const leaf = parse(
    '--tunnel-cert-file',
    tunnelCertFile,
    'certificate',
    () => new X509Certificate(certificate),
  );
  const privateKey: KeyObject = parse('--tunnel-key-file', tunnelKeyFile, 'key', () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey))
    throw new TributaryError('CONFIG_INVALID', '--tunnel-key-file is not the key of --tunnel-cert-file');
  if (tunnelAddress !== '') requireNamed(leaf, hostOfAddress(tunnelAddress));
  return { certificate, key };
}

/** As {@link readTunnelIdentity}, for files that are replaced under a running daemon. */
export async function nextTunnelIdentity(files: TunnelFiles, current: TlsIdentity): Promise<TlsIdentity> {
  const read = (await readTunnelIdentity(files)) ?? current;
  return read.certificate === current.certificate && read.key === current.key ? current : read;
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `${path}: cannot be read`, { cause });
  }
}

function parse<T>(option: string, path: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `${option}: ${path}: no ${what} in PEM`, { cause });
  }
}

/** Whoever verifies the outside of tunnels, a site or the proxy before it, refuses a certificate for another name. */
function requireNamed(leaf: X509Certificate, host: string): void {
  if ((isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)) !== undefined) return;
  throw new TributaryError('CONFIG_INVALID', `--tunnel-cert-file: the certificate is not for ${host}`, {
    hint: 'have one issued for the host of --tunnel-address (advertise.tunnel of the chart), or name there a host that it has',
  });
}
