import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { TributaryError } from '@tributary/proto';

import { socketPath } from '../adapters/files/data-directory.js';
import { fileError } from '../adapters/files/file-error.js';
import { GrpcDialer } from '../adapters/grpc/dialer.js';
import type { SocketMeter } from '../adapters/tls/socket-meter.js';
import type { Proxy } from '../adapters/tls/connect-tunnel.js';
import type { AgentConfig, ProxyConfig } from '../config.js';
import type { EgressMeter } from '../egress-ports.js';

/** How the coordinator is reached from this site; `dataDir` is this process's own. Rejects with CONFIG_INVALID. */
export async function createDialer(
  {
    proxy,
    caBundlePath,
    tunnel,
    dataDir,
  }: Pick<AgentConfig, 'proxy' | 'caBundlePath' | 'tunnel' | 'dataDir'>,
  egress: EgressMeter,
  sockets: Pick<SocketMeter, 'watch'>,
): Promise<GrpcDialer> {
  return new GrpcDialer({
    proxy: () => withPassword(proxy),
    noProxy: proxy?.noProxy ?? [],
    bundle: caBundlePath === undefined ? undefined : await readText(caBundlePath),
    tunnel,
    socketsDir: dirname(socketPath(dataDir)),
    egress,
    sockets,
  });
}

/** The proxy with its password as the file has it now. Rejects with CONFIG_INVALID. */
export async function withPassword(proxy: ProxyConfig | undefined): Promise<Proxy | undefined> {
  if (proxy?.passwordFile === undefined) return proxy;
  return { ...proxy, password: (await readText(proxy.passwordFile)).replace(/\r?\n$/, '') };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new TributaryError('CONFIG_INVALID', fileError(error, path).message, { cause: error });
  }
}
