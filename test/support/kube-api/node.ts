import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { toolsOf } from '../kube/tools.js';
import { installCharts } from './controllers/helm-charts.js';
import { Emulator } from './emulator.js';
import { BridgeNetwork } from './kubelet/bridge-network.js';
import { realProber } from './kubelet/probes.js';
import { RuncRuntime } from './kubelet/runc-runtime.js';
import { ServiceProxy } from './kubelet/service-proxy.js';

export interface Machine {
  readonly emulator: Emulator;
  /** The pods' network: what comes from it comes from pods. */
  readonly network: BridgeNetwork;
  /** Port of the API at the node's address. */
  readonly apiPort: number;
  stop(): Promise<void>;
}

/** An emulator with a node that runs the containers of rendered pods with runc, and K3s's controller of HelmCharts. */
export async function startMachine(): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), 'tributary-node-'));
  const network = await BridgeNetwork.create();
  const runtime = new RuncRuntime(folder, network);
  const proxy = new ServiceProxy(network);
  const ambient: Record<string, string> = { KUBERNETES_SERVICE_HOST: network.gateway };
  const emulator = await Emulator.start({
    ...{ runtime, prober: realProber, serviceNetwork: network.servicePrefix, ambient },
    controllers: ({ folder: home, kubeconfig }) => {
      const helm = toolsOf('helm 3')?.helm;
      const charts = helm === undefined ? [] : [installCharts({ helm, kubeconfig, folder: home })];
      return [runtime.keepHosts, proxy.keep, ...charts];
    },
  });
  const apiPort = await emulator.listen(network.gateway);
  ambient['KUBERNETES_SERVICE_PORT'] = String(apiPort);
  const stop = async (): Promise<void> => {
    await proxy.close();
    await emulator.stop();
  };
  return { emulator, network, apiPort, stop };
}
